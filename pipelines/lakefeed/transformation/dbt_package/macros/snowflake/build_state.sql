{# What models over raw need to know before they are built (../build_state.sql), on Snowflake. #}

{% macro snowflake__announce_loads(models) %}
    {%- do adapter.announce_loads(models, var('lakefeed_as_of', none)) -%}
{% endmacro %}


{% macro snowflake__relations_and_types(models) %}
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
{% macro snowflake__ledger(table) %}
    {{- return(adapter.ledger_schema() ~ '.' ~ lakefeed.quote(table)) -}}
{% endmacro %}


{% macro snowflake__add_recorded(models, tables) %}
    {{- return(lakefeed.add_recorded_by_rows(models, tables)) -}}
{% endmacro %}


{# The first view of a model begins with the schema that all of them are in. #}
{% macro snowflake__open_view(name, query) %}
    {%- do adapter.use_scratch() if name == 'lakefeed_new_loads_batch' -%}
    {{- return(lakefeed.default__open_view(name, query)) -}}
{% endmacro %}


{% macro snowflake__overwritten(table, query) %}
    {{- return('insert overwrite into ' ~ table ~ ' ' ~ query) -}}
{% endmacro %}


{#
    Two statements: a merge has no `not matched by source`. Killed in between, the next build stages loads
    again, with the same result.
#}
{% macro snowflake__record_loads(loads, extends) %}
    {%- set name = lakefeed.sql_text(this.identifier) -%}
    {%- set known = lakefeed.ledger('staged_loads') -%}
    {%- if loads or not extends -%}
        {%- do lakefeed.run_statement(
            'delete from ' ~ known ~ ' where model = ' ~ name
            ~ (' and load_id in (select load_id from lakefeed_new_loads)' if extends else '')
        ) -%}
    {%- endif -%}
    {%- set added -%}
        insert into {{ known }} (model, load_id, snapshot_at, batch)
        select {{ name }}, load_id, snapshot_at, batch
        from lakefeed_new_loads cross join lakefeed_new_loads_batch
    {%- endset -%}
    {%- do lakefeed.run_statement(added) if loads -%}
{% endmacro %}
