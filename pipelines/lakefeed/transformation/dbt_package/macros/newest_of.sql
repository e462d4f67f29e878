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
    {{- return(adapter.dispatch('newest_of', 'lakefeed')(
        rows, batch, key, cursor, removes_deleted, compared_as
    )) -}}
{% endmacro %}


{% macro duckdb__newest_of(rows, batch, key, cursor, removes_deleted, compared_as) %}
    with

    new_rows as (

        select * from {{ rows }}

    ),

    {%- if key %}

    newest_per_key as (

        select *
        from new_rows
        qualify row_number() over (
            partition by {{ lakefeed.key_of(key, compared_as) }}
            order by _load_position desc
            {%- if cursor %}, {{ lakefeed.cursor_value(cursor) }} desc nulls last{% endif %}
        ) = 1

    ),
    {%- endif %}

    staged as (

        select
            * exclude (_load_position{{ ', _deleted_at' if removes_deleted }}),
            {{ batch }} as _staged_batch
        from {{ 'newest_per_key' if key else 'new_rows' }}
        {%- if removes_deleted %}
        where _deleted_at is null
        {%- endif %}

    )

    select * from staged
{%- endmacro %}
