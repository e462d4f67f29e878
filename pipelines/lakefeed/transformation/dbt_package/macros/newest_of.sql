{#
    The select that turns raw rows into staging rows: for each key the row with the newest load, then
    the newest cursor, or the last change in the log; without a key, all rows. Reads only the relations
    passed to it.

    Args:
        rows: a relation with `_load_position`, and with `_deleted_at` if `removes_deleted`.
        batch: an expression for `_staged_batch`.
        cursor: a column; or several with their function (`cursor_value`).
        compared_as: how key columns are compared (keys.sql).
        log: the columns that order changes from the log (changes_of_log.sql).
        watches_deletes: whether the rows have `_deleted_at`.
#}
{% macro newest_of(
    rows, batch, key=none, cursor=none, removes_deleted=false, compared_as={}, log={},
    watches_deletes=false
) %}
    {%- set internal = ['_load_position'] + (['_deleted_at'] if removes_deleted else [])
        + (['_lakefeed_rank'] if key else []) + log.keys() | list -%}
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
                {%- if log %}, _wal_lsn desc nulls last, {{ lakefeed.last_change_first(watches_deletes) }}{% endif %}
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
