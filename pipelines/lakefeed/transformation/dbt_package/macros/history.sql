{#
    A history model: all versions of all rows of a raw table, one row per key and version.

    Promises: in whatever order loads arrive, the versions of a key follow each other as in the source,
    without overlaps, and without gaps except while the row was deleted. An incremental build gives the
    same result as a build from scratch. Each load is read once, unless the model is rebuilt because a
    load arrived late or a declaration changed that determines the versions.

    `valid_from` is the source's time of change: the time of the commit if changes come from the log, the
    cursor if it is a time, else the time of the first snapshot with the version. versions_of.sql has the
    details.

    Also reads superseded loads, for their versions.
#}
{% macro history(raw_table, unique_key, cursor=none, timezone='UTC') %}
    {{- config(
        materialized='lakefeed_history',
        meta={'lakefeed': {'cursor': cursor, 'timezone': timezone}}
    ) -}}
    {%- set raw = lakefeed.raw_table_of(model).meta.lakefeed if execute -%}
    {%- if execute -%}
    {{ lakefeed.versions_of(
        rows='lakefeed_new_rows',
        loads='lakefeed_new_loads',
        known=this if lakefeed.extends_table() else none,
        batch='(select batch from lakefeed_new_loads_batch)',
        columns=raw.columns,
        key=unique_key,
        cursor=cursor,
        timezone=timezone,
        watches_deletes=raw.deletes != 'ignore',
        compared_as=raw.get('compared_as'),
        reads_log=raw.get('log', false)
    ) }}
    {%- else -%}
    select 1
    {%- endif -%}
{%- endmacro %}


{#
    The script that builds a history: opens the loads that it lacks, or all of them if it must be rebuilt,
    writes the versions of their keys, deletes those that are replaced, and records loads and declaration.
#}
{% macro history_script(query, extends) %}
    {%- set raw = lakefeed.raw_table_of(model) -%}
    {%- set made_from = lakefeed.history_is_made_from() -%}
    {%- set is_outdated = extends and lakefeed.model_state().made_from != made_from -%}
    {%- set new = lakefeed.loads_to_keep(raw, this.identifier if extends else none, is_outdated) -%}
    {{ lakefeed.open_loads(raw, new.loads, new.loads, extends) }}
    {% if new.anew -%}
    create or replace table {{ this }} as {{ lakefeed.no_versions(raw.meta.lakefeed.columns) }};
    {%- endif %}
    {{ lakefeed.write_rows(query, extends) }}
    {% if extends -%}
    {{ lakefeed.delete_replaced_versions(raw.meta.lakefeed) }}
    {%- endif %}
    {{ lakefeed.record_staged_loads() }}
    create table if not exists _lakefeed.histories (model varchar, made_from varchar);
    delete from _lakefeed.histories where model = '{{ this.identifier }}';
    insert into _lakefeed.histories values (
        '{{ this.identifier }}', {{ lakefeed.sql_text(made_from) }}
    );
{% endmacro %}


{# Deletes the versions of all keys of which this build has written the versions again. #}
{% macro delete_replaced_versions(raw) -%}
    {%- set key = lakefeed.key_of_raw(raw) -%}
    delete from {{ this }}
    where
        _staged_batch <> (select batch from lakefeed_new_loads_batch)
        and ({{ key }}) in (
            select ({{ key }}) from {{ this }}
            where _staged_batch = (select batch from lakefeed_new_loads_batch)
        );
{%- endmacro %}


{# Everything besides the rows that determines the versions, as text to compare. #}
{% macro history_is_made_from() %}
    {%- set raw = lakefeed.raw_table_of(model).meta.lakefeed -%}
    {%- set settings = model.config.meta.lakefeed -%}
    {%- set made_from = {
        'key': raw.key, 'columns': raw.columns, 'deletes': raw.deletes != 'ignore',
        'cursor': settings.cursor, 'timezone': settings.timezone
    } -%}
    {%- if raw.get('compared_as') -%}
        {%- do made_from.update({'compared_as': raw.compared_as}) -%}
    {%- endif -%}
    {%- if raw.get('log') -%}{%- do made_from.update({'log': true}) -%}{%- endif -%}
    {%- if raw.get('declared') -%}
        {%- do made_from.update({'declared': raw.declared}) -%}
    {%- endif -%}
    {%- set state = lakefeed.model_state() -%}
    {%- if 'pruned_at' in state -%}{%- do made_from.update({'pruned_at': state.pruned_at}) -%}{%- endif -%}
    {{- return(tojson(made_from)) -}}
{% endmacro %}


{# An empty history with these columns. #}
{% macro no_versions(columns) %}
    {%- set types = {
        'valid_from': 'timestamptz', 'valid_to': 'timestamptz', 'is_current': 'boolean',
        'loaded_at': 'timestamptz', '_changed_at': 'timestamptz', '_was_deleted': 'boolean',
        '_dlt_load_id': 'varchar', '_staged_batch': 'bigint'
    } -%}
    select
        {% for name, type in columns.items() -%}
        cast(null as {{ lakefeed.type_named(type) }}) as {{ lakefeed.quote(name) }},
        {% endfor -%}
        {% for name, type in types.items() -%}
        cast(null as {{ lakefeed.type_named(type) }}) as {{ name }}{{ ',' if not loop.last }}
        {% endfor -%}
    from (select 1) as nothing
    where false
{% endmacro %}


{#
    The `valid_from` of the first version of each key, whose actual start is unknown. An ordinary date,
    since few tools understand infinity.
#}
{% macro beginning() %}
    {{- return(adapter.dispatch('beginning', 'lakefeed')()) -}}
{% endmacro %}


{% macro duckdb__beginning() %}
    {{- return("timestamptz '1900-01-01 00:00:00+00'") -}}
{% endmacro %}


{# Whether a version, given by its alias, is valid at a moment. #}
{% macro valid_at(version, moment) %}
    {{- return(
        moment ~ ' >= ' ~ version ~ '.valid_from and ('
        ~ version ~ '.valid_to is null or ' ~ moment ~ ' < ' ~ version ~ '.valid_to)'
    ) -}}
{% endmacro %}


{#
    The join that adds to each row the version of a dimension's member that was the newest at a moment:
    the last that had begun by then, even if it had ended because the member was deleted.

    Args:
        versions: the relation of versions, with `valid_from`, under the name that columns are taken by.
        member: the columns that identify the member, each with the expression that it equals.
        at: the moment.
#}
{% macro join_version(versions, member, at) %}
    {{- return(adapter.dispatch('join_version', 'lakefeed')(versions, member, at)) -}}
{% endmacro %}


{% macro default__join_version(versions, member, at) %}
    asof left join {{ versions }}
        on {% for column, value in member.items() -%}
        {{ versions }}.{{ column }} = {{ value }}
        and {% endfor -%}
        {{ versions }}.valid_from <= {{ at }}
{%- endmacro %}


{# The same where `asof` joins aren't DuckDB's: a version counts until the next one of its member begins. #}
{% macro joined_by_periods(versions, member, at) %}
    left join (
        select
            *,
            lead(valid_from) over (
                partition by {{ member.keys() | join(', ') }} order by valid_from
            ) as _lakefeed_until
        from {{ versions }}
    ) as {{ versions }}
        on {% for column, value in member.items() -%}
        {{ versions }}.{{ column }} = {{ value }}
        and {% endfor -%}
        {{ versions }}.valid_from <= {{ at }}
        and ({{ versions }}._lakefeed_until is null or {{ at }} < {{ versions }}._lakefeed_until)
{%- endmacro %}
