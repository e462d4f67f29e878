{#
    The select that turns raw rows into staging rows: for each key the row with the newest load, then
    the newest cursor; without a key, all rows. Reads only the relations passed to it.

    Args:
        rows: a relation with `_load_position`, and with `_deleted_at` if `removes_deleted`.
        batch: an expression for `_staged_batch`.
        cursor: a column; or several with their function (`cursor_value`).
        compared_as: how key columns are compared (keys.sql).
#}
{% macro newest_of(
    rows, batch, key=none, cursor=none, removes_deleted=false, compared_as={}
) %}
    {%- set internal = ['_load_position'] + (['_deleted_at'] if removes_deleted else [])
        + (['_lakefeed_rank'] if key else []) -%}
    with

    new_rows as (

        select * from {{ rows }}

    ),

    {%- if key %}

    ranked_rows as (

        select
            *,
            row_number() over (
                partition by {{ lakefeed.key_of(key, compared_as) }}
                order by _load_position desc
                {%- if cursor %}, {{ lakefeed.cursor_value(cursor) }} desc nulls last{% endif %}
            ) as _lakefeed_rank
        from new_rows

    ),
    {%- endif %}

    staged as (

        select
            {{ lakefeed.all_but(internal) }},
            {{ batch }} as _staged_batch
        from {{ 'ranked_rows' if key else 'new_rows' }}
        {%- if key %}
        where _lakefeed_rank = 1
        {%- endif %}
        {%- if removes_deleted %}
        {{ 'and' if key else 'where' }} _deleted_at is null
        {%- endif %}

    )

    select * from staged
{%- endmacro %}
