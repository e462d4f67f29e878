{#
    The select that turns raw rows into versions. It reads only the relations passed to it, so that
    dbt's unit tests can pass their own (tests/integration/macros).

    For each key, in the order of the source's snapshots:

    - A row that equals the previous one in all columns isn't a new version.
    - A version changed at the time in its cursor, but never after the snapshot that contains it. If the
      cursor isn't a time, it changed at the first snapshot that contains it.
    - A newer snapshot overrides everything after its time of change: versions that seemed to be later
      are dropped. So of two versions of the same time, the newer snapshot's is kept, and a backdated
      correction replaces the wrong value, as it does in staging.
    - A tombstone ends the row, and so does a load of the whole table without it. If the row returns, it
      begins at its time of change, or, if that is before its end, at the snapshot that saw it again.
    - The first version is valid from `beginning()`, so that no fact is older than its dimension.

    `known` versions stand for all loads before the new ones, which must have newer snapshots. For each
    key in the new rows, all of its versions are computed again from both and returned.

    Args:
        rows: a relation with `columns`, `_dlt_load_id`, `_load_position`, and `_deleted_at` if
            `watches_deletes`.
        loads: a relation with position, snapshot_at and supersedes.
        known: the earlier result of this select; none if there is none.
        batch: an expression for `_staged_batch`.
        columns: DuckDB's types by name.
        compared_as: how key columns are compared (keys.sql).
#}
{% macro versions_of(
    rows, loads, known, batch, columns, key, cursor=none, timezone='UTC', watches_deletes=false,
    compared_as={}
) %}
    {{- return(adapter.dispatch('versions_of', 'lakefeed')(
        rows, loads, known, batch, columns, key, cursor, timezone, watches_deletes, compared_as
    )) -}}
{% endmacro %}


{% macro duckdb__versions_of(
    rows, loads, known, batch, columns, key, cursor, timezone, watches_deletes, compared_as
) %}
    {%- set key_columns = lakefeed.key_of(key, compared_as) -%}
    {%- set all_columns = lakefeed.quoted_list(columns) -%}
    {%- set deleted_at = 'new_rows._deleted_at' if watches_deletes else 'null::timestamptz' -%}
    with

    new_rows as (

        select * from {{ rows }}

    ),

    new_loads as (

        select
            position,
            snapshot_at::timestamptz as snapshot_at,
            supersedes
        from {{ loads }}

    ),

    new_events as (

        select
            {% for name in columns -%}
            new_rows.{{ lakefeed.quote(name) }},
            {% endfor -%}
            new_rows._dlt_load_id,
            new_loads.snapshot_at as loaded_at,
            coalesce(
                {{ deleted_at }},
                least({{ lakefeed.time_of_change(columns, cursor, timezone) }}, new_loads.snapshot_at)
            ) as _changed_at,
            {{ deleted_at }} is not null as _is_end,
            new_rows._load_position
        from new_rows
        inner join new_loads on new_loads.position = new_rows._load_position
        qualify row_number() over (
            partition by {{ key_columns }}, new_rows._load_position
            order by {{ lakefeed.cursor_value(cursor) if cursor else '_is_end' }} desc nulls last
        ) = 1

    ),
    {%- if known %}

    known_versions as (

        select * from {{ known }}
        where
            (select coalesce(bool_or(supersedes), false) from new_loads)
            or ({{ key_columns }}) in (select ({{ key_columns }}) from new_events)

    ),
    {%- endif %}

    events as (

        select * from new_events
        {%- if known %}
        union all by name
        select {{ all_columns }}, _dlt_load_id, loaded_at, _changed_at, false as _is_end, 0 as _load_position
        from known_versions
        union all by name
        select
            {{ all_columns }}, _dlt_load_id, loaded_at, valid_to as _changed_at, true as _is_end,
            0 as _load_position
        from known_versions
        where _was_deleted
        {%- endif %}

    ),

    events_in_order as (

        select
            *,
            lead(_load_position) over (
                partition by {{ key_columns }} order by _load_position, _changed_at
            ) as _next_position
        from events

    ),

    whole_loads as (

        select position, snapshot_at from new_loads where supersedes

    ),

    absences as (

        select
            events_in_order.* replace (
                whole_loads.snapshot_at as _changed_at,
                true as _is_end,
                whole_loads.position as _load_position
            )
        from events_in_order
        asof join whole_loads on events_in_order._load_position < whole_loads.position
        where
            not events_in_order._is_end
            and coalesce(events_in_order._next_position > whole_loads.position, true)

    ),

    all_events as (

        select * exclude (_next_position) from events_in_order
        union all by name
        select * exclude (_next_position) from absences

    ),

    changes as (

        select *
        from all_events
        window before as (partition by {{ key_columns }} order by _load_position, _changed_at)
        qualify case
            when _is_end then not lag(_is_end) over before
            else
                lag(_is_end) over before is distinct from false
                or row({{ all_columns }}) is distinct from lag(row({{ all_columns }})) over before
        end

    ),

    lives as (

        select
            *,
            max(_changed_at) filter (_is_end) over before as _ended_at
        from changes
        window before as (
            partition by {{ key_columns }} order by _load_position, _changed_at
            rows between unbounded preceding and 1 preceding
        )

    ),

    dated as (

        select * replace (
            case
                when _is_end or _ended_at is null then _changed_at
                else greatest(_changed_at, first_value(
                    case when _changed_at > _ended_at then _changed_at else loaded_at end
                ) over life)
            end as _changed_at
        )
        from lives
        window life as (
            partition by {{ key_columns }}, _ended_at order by _load_position, _changed_at
        )

    ),

    effective_events as (

        select *
        from dated
        window later as (
            partition by {{ key_columns }} order by _load_position, _changed_at
            rows between 1 following and unbounded following
        )
        qualify coalesce(_changed_at < min(_changed_at) over later, true)

    ),

    versions as (

        select
            {{ all_columns }},
            case
                when row_number() over in_time = 1 then least(_changed_at, {{ lakefeed.beginning() }})
                else _changed_at
            end as valid_from,
            lead(_changed_at) over in_time as valid_to,
            valid_to is null as is_current,
            loaded_at,
            _changed_at,
            coalesce(lead(_is_end) over in_time, false) as _was_deleted,
            _dlt_load_id,
            {{ batch }} as _staged_batch
        from effective_events
        window in_time as (partition by {{ key_columns }} order by _changed_at)
        qualify not _is_end

    )

    select * from versions
    where ({{ key_columns }}) in (select ({{ key_columns }}) from changes where _load_position > 0)
{%- endmacro %}


{# The time of change in a raw row's cursor; null if the cursor isn't a time. #}
{% macro time_of_change(columns, cursor, timezone) %}
    {%- if not cursor -%}
        {{- return('null::timestamptz') -}}
    {%- endif -%}
    {%- set first = cursor if cursor is string else (cursor.values() | first)[0] -%}
    {%- set type = columns.get(first, '') -%}
    {%- set value = lakefeed.cursor_value(cursor, 'new_rows') -%}
    {%- if type == 'timestamptz' -%}
        {{- return(value) -}}
    {%- elif type in ('timestamp', 'date') -%}
        {{- return('cast(' ~ value ~ " as timestamp) at time zone '" ~ timezone ~ "'") -}}
    {%- endif -%}
    {{- return('null::timestamptz') -}}
{% endmacro %}
