{# What models over raw need to know before they are built (../build_state.sql), on BigQuery. #}

{% macro bigquery__announce_loads(models) %}
    {%- do adapter.announce_loads(models, var('lakefeed_as_of', none)) -%}
{% endmacro %}


{% macro bigquery__relations_and_types(models) %}
    {%- set relations = [] -%}
    {%- set types = {} -%}
    {%- for model in models.values() -%}
        {%- do relations.append(model.schema ~ '.' ~ model.name) -%}
        {%- for type in model.types + ['varchar', 'bigint', 'timestamptz'] -%}
            {%- do types.update({type: lakefeed.type_named(type)}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{- return({
        'tables': adapter.tables_in('_lakefeed'),
        'columns': adapter.columns_of(relations),
        'types': types
    }) -}}
{% endmacro %}


{# In a build apart, another dataset stands for `_lakefeed`. #}
{% macro bigquery__ledger(table) %}
    {{- return(adapter.ledger_schema() ~ '.' ~ table) -}}
{% endmacro %}


{# One query: each costs a job, and is paid for as 10 MB at least. #}
{% macro bigquery__add_recorded(models, tables) %}
    {%- set by_name = {} -%}
    {%- for model in models.values() -%}
        {%- do model.update({'staged': [], 'staged_at': none, 'compared_as': none, 'made_from': none}) -%}
        {%- do by_name.update({model.name: model}) -%}
    {%- endfor -%}
    {%- set parts = [] -%}
    {%- if 'staged_loads' in tables -%}
        {%- do parts.append(
            "select model, 'staged_at' as fact, max(snapshot_at) as value, array_agg(load_id) as loads"
            ~ ' from ' ~ lakefeed.ledger('staged_loads') ~ ' group by model'
        ) -%}
    {%- endif -%}
    {%- for table, fact in {'compared_keys': 'compared_as', 'histories': 'made_from'}.items() -%}
        {%- if table in tables -%}
            {%- do parts.append(
                "select model, '" ~ fact ~ "' as fact, max(" ~ fact ~ ') as value, array<string>[] as loads from '
                ~ lakefeed.ledger(table) ~ ' group by model'
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set recorded = adapter.rows(parts | join(' union all ')) if parts else [] -%}
    {%- for name, fact, value, loads in recorded if name in by_name -%}
        {%- do by_name[name].update({fact: value}) -%}
        {%- if loads and by_name[name].is_incremental -%}
            {%- do by_name[name].update({'staged': loads | list}) -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}


{# A table is replaced in one step. #}
{% macro bigquery__overwritten(table, query) %}
    {{- return('create or replace table ' ~ table ~ ' as ' ~ query) -}}
{% endmacro %}


{# BigQuery has no temporary views: the adapter writes the query into the statements that name it. #}
{% macro bigquery__open_view(name, query) %}
    {%- do adapter.open_view(name, query) -%}
{% endmacro %}


{% macro bigquery__new_loads_opened(loads, counting) -%}
    {%- set counted = counting | map(attribute='load_id') | list -%}
    select one.load_id, one.snapshot_at, one.supersedes, one.position, one.counts
    from unnest(array<struct<
        load_id string, snapshot_at string, supersedes bool, position int64, counts bool
    >>[
        {% for load in loads -%}
        (
            '{{ load.load_id }}', '{{ load.snapshot_at }}', {{ load.supersedes }},
            {{ loop.index }}, {{ load.load_id in counted }}
        ){{ ',' if not loop.last }}
        {% endfor -%}
    ]) as one
{%- endmacro %}
