{#
    Rows that are changes from PostgreSQL's log (`cursor: wal`): one load has every version of a row that
    was committed, in the order of the commits' LSNs, then of the changes within a transaction. Rows that
    were read from the table, in loads of the whole of it, have nulls there.
#}

{# The columns of raw that order the changes of a load, with their types; none without a log. #}
{% macro columns_of_log(raw) %}
    {{- return(
        {'_wal_lsn': 'bigint', '_wal_position': 'bigint', '_wal_committed_at': 'timestamptz'}
        if raw.get('log') else {}
    ) -}}
{% endmacro %}


{#
    The raw table with the columns of its log, if it had one when these loads were made and has none any
    more; none otherwise. Its declaration now is the one that counts for the past, too, so that each of
    these loads has the last version of a row.
#}
{% macro former_log(raw, loads) %}
    {%- set settings = raw.meta.lakefeed -%}
    {%- if settings.get('log') or not settings.key or not loads | selectattr('log') | list -%}
        {{- return(none) -}}
    {%- endif -%}
    {{- return({'meta': {'lakefeed': dict(settings, log=true)}}) -}}
{% endmacro %}


{# The select of the last version of each row in each load of these rows, without the log's columns. #}
{% macro last_of_each_load(raw, rows) %}
    {%- set settings = raw.meta.lakefeed -%}
    select {{ lakefeed.all_but(lakefeed.columns_of_log(settings).keys() | list + ['_lakefeed_rank']) }}
    from (
        select
            *,
            row_number() over (
                partition by _load_position, {{ lakefeed.key_of_raw(settings) }}
                order by
                    _wal_lsn desc nulls last, {{ lakefeed.last_change_first(settings.deletes != 'ignore') }}
            ) as _lakefeed_rank
        from ({{ rows }}) as changes
    ) as ranked
    where _lakefeed_rank = 1
{%- endmacro %}


{#
    For `order by`: the last change of a transaction first. An update of a key to one that equals it is a
    delete and an insert at the same position, and the row is there.
#}
{% macro last_change_first(watches_deletes) %}
    {{- return(
        '_wal_position desc nulls last' ~ (', _deleted_at is null desc' if watches_deletes else '')
    ) -}}
{% endmacro %}


{#
    The common table expressions that date the changes of each key, as `dated`, if its rows come from the
    log.

    A change counts from its commit on. A clock that was set back can have a later commit seem earlier,
    and a snapshot may be older than a commit that it doesn't show. As a newer snapshot does, a later
    change decides: what came before it in the log began earlier, by a microsecond if its own time says
    otherwise. So every version keeps a period of its own.
#}
{% macro dated_by_log(key_columns, in_order) %}
    in_log as (

        select
            *,
            row_number() over (partition by {{ key_columns }} order by {{ in_order }}) as _lakefeed_place,
            max(_load_position) over (partition by {{ key_columns }}) > 0 as _lakefeed_is_new
        from changes

    ),

    dated as (

        select
            *,
            {{ lakefeed.moment_of(
                'min(' ~ lakefeed.microseconds('_changed_at') ~ ' - _lakefeed_place) over (partition by '
                ~ key_columns ~ ' order by _lakefeed_place rows between current row and unbounded following)'
                ~ ' + _lakefeed_place'
            ) }} as _lakefeed_from
        from in_log

    ),
{%- endmacro %}
