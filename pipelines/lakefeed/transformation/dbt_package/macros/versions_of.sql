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
    - Of rows from the log, every version that was ever committed counts, in the order of the log and from
      its commit on: of several changes in one transaction the last. changes_of_log.sql dates them.

    `known` versions stand for all loads before the new ones, which must have newer snapshots. For each
    key in the new rows, all of its versions are computed again from both and returned.

    Args:
        rows: a relation with `columns`, `_dlt_load_id`, `_load_position`, `_deleted_at` if
            `watches_deletes`, and the columns of the log if `reads_log`.
        loads: a relation with position, snapshot_at and supersedes.
        known: the earlier result of this select; none if there is none.
        batch: an expression for `_staged_batch`.
        columns: DuckDB's types by name.
        compared_as: how key columns are compared (keys.sql).
#}
{% macro versions_of(
    rows, loads, known, batch, columns, key, cursor=none, timezone='UTC', watches_deletes=false,
    compared_as={}, reads_log=false
) %}
    {%- set key_columns = lakefeed.key_of(key, compared_as) -%}
    {%- set all_columns = lakefeed.quoted_list(columns) -%}
    {%- set time = lakefeed.type_named('timestamptz') -%}
    {%- set in_order = '_load_position, ' ~ ('_wal_lsn nulls first, ' if reads_log else '') ~ '_changed_at' -%}
    {%- set before = 'partition by ' ~ key_columns ~ ' order by ' ~ in_order -%}
    {%- set in_time = 'partition by ' ~ key_columns ~ ' order by _lakefeed_from' -%}
    {%- set ordered_by = ' _wal_lsn,' if reads_log else '' -%}
    {%- set deleted_at = 'new_rows._deleted_at' if watches_deletes else 'cast(null as ' ~ time ~ ')' -%}
    with

    new_loads as (

        select
            position,
            cast(snapshot_at as {{ time }}) as snapshot_at,
            supersedes,
            min(case when supersedes then position end) over (
                order by position rows between 1 following and unbounded following
            ) as next_whole
        from {{ loads }}

    ),

    ranked_rows as (

        select
            new_rows.*,
            {{ deleted_at }} as _lakefeed_deleted_at,
            {{ lakefeed.time_of_change(columns, cursor, timezone) }} as _lakefeed_time,
            row_number() over (
                partition by {{ key_columns }}, new_rows._load_position{{ ', new_rows._wal_lsn' if reads_log }}
                {% if reads_log -%}
                order by {{ lakefeed.last_change_first(watches_deletes) }}
                {%- else -%}
                order by {{ lakefeed.cursor_value(cursor) if cursor else deleted_at ~ ' is not null' }} desc nulls last
                {%- endif %}
            ) as _lakefeed_rank
        from {{ rows }} as new_rows

    ),

    new_events as (

        select
            {% for name in columns -%}
            ranked_rows.{{ lakefeed.quote(name) }},
            {% endfor -%}
            ranked_rows._dlt_load_id,
            new_loads.snapshot_at as loaded_at,
            coalesce(
                ranked_rows._lakefeed_deleted_at,
                {%- if reads_log %}
                ranked_rows._wal_committed_at,
                {%- endif %}
                {{ lakefeed.least_of('ranked_rows._lakefeed_time', 'new_loads.snapshot_at') }}
            ) as _changed_at,
            ranked_rows._lakefeed_deleted_at is not null as _is_end,
            ranked_rows._load_position,
            {%- if reads_log %}
            ranked_rows._wal_lsn,
            {%- endif %}
            new_loads.next_whole as _lakefeed_whole
        from ranked_rows
        inner join new_loads on new_loads.position = ranked_rows._load_position
        where ranked_rows._lakefeed_rank = 1

    ),
    {%- if known %}

    known_versions as (

        select
            known.*,
            _lakefeed_whole,
            {{ lakefeed.each_of_or_first('false', 'true', 'not known._was_deleted') }} as _lakefeed_is_end
        from {{ known }} as known
        cross join (
            select min(case when supersedes then position end) as _lakefeed_whole from new_loads
        ) as wholes
        {{ lakefeed.joins_each_of_or_first('not known._was_deleted') }}
        where
            _lakefeed_whole is not null
            or {{ lakefeed.among(key_columns, key_columns, 'from new_events') }}

    ),

    -- Each known version, and its end if its row was deleted.
    known_events as (

        select
            {{ all_columns }},
            _dlt_load_id,
            loaded_at,
            case when _lakefeed_is_end then valid_to else _changed_at end as _changed_at,
            _lakefeed_is_end as _is_end,
            0 as _load_position,
            {%- if reads_log %}
            cast(null as {{ lakefeed.type_named('bigint') }}) as _wal_lsn,
            {%- endif %}
            _lakefeed_whole
        from known_versions

    ),
    {%- endif %}

    events as (

        select {{ all_columns }}, _dlt_load_id, loaded_at, _changed_at, _is_end, _load_position,{{ ordered_by }} _lakefeed_whole
        from new_events
        {%- if known %}
        union all
        select {{ all_columns }}, _dlt_load_id, loaded_at, _changed_at, _is_end, _load_position,{{ ordered_by }} _lakefeed_whole
        from known_events
        {%- endif %}

    ),

    events_in_order as (

        select
            *,
            lead(_load_position) over (
                partition by {{ key_columns }} order by {{ in_order }}
            ) as _next_position
        from events

    ),

    -- What the next load of the whole table lacks is absent from its snapshot on.
    events_and_absences as (

        select
            {% for name in columns -%}
            events_in_order.{{ lakefeed.quote(name) }},
            {% endfor -%}
            events_in_order._dlt_load_id,
            events_in_order.loaded_at,
            events_in_order._changed_at,
            events_in_order._is_end,
            events_in_order._load_position,
            {%- if reads_log %}
            events_in_order._wal_lsn,
            {%- endif %}
            whole.snapshot_at as _lakefeed_absent_at,
            whole.position as _lakefeed_absent_from,
            {{ lakefeed.each_of_or_first('false', 'true', 'whole.position is null') }} as _lakefeed_is_absent
        from events_in_order
        left join new_loads as whole
            on whole.position = events_in_order._lakefeed_whole
            and not events_in_order._is_end
            and coalesce(events_in_order._next_position > whole.position, true)
        {{ lakefeed.joins_each_of_or_first('whole.position is null') }}

    ),

    all_events as (

        select
            {{ all_columns }},
            _dlt_load_id,
            loaded_at,
            case when _lakefeed_is_absent then _lakefeed_absent_at else _changed_at end as _changed_at,
            _is_end or _lakefeed_is_absent as _is_end,
            {%- if reads_log %}
            case when _lakefeed_is_absent then null else _wal_lsn end as _wal_lsn,
            {%- endif %}
            case when _lakefeed_is_absent then _lakefeed_absent_from else _load_position end as _load_position
        from events_and_absences

    ),

    compared as (

        select
            *,
            lag(_is_end) over ({{ before }}) as _lakefeed_after_end,
            {{ lakefeed.differs_from_last(columns, before) }} as _lakefeed_differs
        from all_events

    ),

    changes as (

        select *
        from compared
        where
            case
                when _is_end then not _lakefeed_after_end
                else _lakefeed_after_end is distinct from false or _lakefeed_differs
            end

    ),

    {% if reads_log -%}
    {{ lakefeed.dated_by_log(key_columns, in_order) | trim }}
    {%- else -%}
    lives as (

        select
            *,
            max(case when _is_end then _changed_at end) over (
                partition by {{ key_columns }} order by _load_position, _changed_at
                rows between unbounded preceding and 1 preceding
            ) as _ended_at,
            max(_load_position) over (partition by {{ key_columns }}) > 0 as _lakefeed_is_new
        from changes

    ),

    dated as (

        select
            *,
            case
                when _is_end or _ended_at is null then _changed_at
                else greatest(_changed_at, first_value(
                    case when _changed_at > _ended_at then _changed_at else loaded_at end
                ) over (
                    partition by {{ key_columns }}, _ended_at order by _load_position, _changed_at
                ))
            end as _lakefeed_from
        from lives

    ),

    followed as (

        select
            *,
            min(_lakefeed_from) over (
                partition by {{ key_columns }} order by _load_position, _lakefeed_from
                rows between 1 following and unbounded following
            ) as _lakefeed_overridden_at
        from dated

    ),
    {%- endif %}

    versions as (

        select
            *,
            row_number() over ({{ in_time }}) as _lakefeed_number,
            lead(_lakefeed_from) over ({{ in_time }}) as _lakefeed_to,
            coalesce(lead(_is_end) over ({{ in_time }}), false) as _was_deleted
        {%- if reads_log %}
        from dated
        {%- else %}
        from followed
        where coalesce(_lakefeed_from < _lakefeed_overridden_at, true)
        {%- endif %}

    )

    select
        {{ all_columns }},
        case
            when _lakefeed_number = 1 then least(_lakefeed_from, {{ lakefeed.beginning() }})
            else _lakefeed_from
        end as valid_from,
        _lakefeed_to as valid_to,
        _lakefeed_to is null as is_current,
        loaded_at,
        _lakefeed_from as _changed_at,
        _was_deleted,
        _dlt_load_id,
        {{ batch }} as _staged_batch
    from versions
    where not _is_end and _lakefeed_is_new
{%- endmacro %}


{# The time of change in a raw row's cursor; null if the cursor isn't a time. #}
{% macro time_of_change(columns, cursor, timezone) %}
    {%- set first = cursor if cursor is string or not cursor else (cursor.values() | first)[0] -%}
    {%- set type = columns.get(first, '') if cursor -%}
    {%- if type == 'timestamptz' -%}
        {{- return(lakefeed.cursor_value(cursor, 'new_rows')) -}}
    {%- elif type in ('timestamp', 'date') -%}
        {{- return(lakefeed.time_in_zone(lakefeed.cursor_value(cursor, 'new_rows'), timezone)) -}}
    {%- endif -%}
    {{- return('cast(null as ' ~ lakefeed.type_named('timestamptz') ~ ')') -}}
{% endmacro %}
