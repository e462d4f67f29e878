{# What models over raw need to know before they are built (../build_state.sql), on Spark. #}

{% macro spark__announce_loads(models) %}
    {%- do adapter.announce_loads(models, var('lakefeed_as_of', none)) -%}
{% endmacro %}


{% macro spark__relations_and_types(models) %}
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


{# In a build apart, another schema stands for `_lakefeed`. #}
{% macro spark__ledger(table) %}
    {{- return(adapter.ledger_schema() ~ '.' ~ table) -}}
{% endmacro %}


{# One query: each costs Spark a job. #}
{% macro spark__add_recorded(models, tables) %}
    {%- set by_name = {} -%}
    {%- for model in models.values() -%}
        {%- do model.update({'staged': [], 'staged_at': none, 'compared_as': none, 'made_from': none}) -%}
        {%- do by_name.update({model.name: model}) -%}
    {%- endfor -%}
    {%- set parts = [] -%}
    {%- if 'staged_loads' in tables -%}
        {%- do parts.append(
            "select model, 'staged_at' as fact, max(snapshot_at) as value, to_json(collect_list(load_id)) as loads"
            ~ ' from ' ~ lakefeed.ledger('staged_loads') ~ ' group by model'
        ) -%}
    {%- endif -%}
    {%- for table, fact in {'compared_keys': 'compared_as', 'histories': 'made_from'}.items() -%}
        {%- if table in tables -%}
            {%- do parts.append(
                "select model, '" ~ fact ~ "', max(" ~ fact ~ '), cast(null as string) from '
                ~ lakefeed.ledger(table) ~ ' group by model'
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set recorded = adapter.rows(parts | join(' union all ')) if parts else [] -%}
    {%- for name, fact, value, loads in recorded if name in by_name -%}
        {%- do by_name[name].update({fact: value}) -%}
        {%- if loads and by_name[name].is_incremental -%}
            {%- do by_name[name].update({'staged': fromjson(loads)}) -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}


{% macro spark__new_ledger_table(table, columns) %}
    {{- return('create table ' ~ lakefeed.ledger(table) ~ ' (' ~ columns ~ ') using iceberg') -}}
{% endmacro %}
