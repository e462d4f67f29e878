{# The tables of `_lakefeed` where models are built by single statements. #}

{#
    Makes what is missing of the tables in `_lakefeed`, once in a dbt invocation, and takes the number of
    this build, which all its models share. Written before any row has it, so that numbers only grow.
#}
{% macro batch_of_build() %}
    {%- set known = graph.get('lakefeed_batch', {}) -%}
    {%- if known.get('invocation_id') == invocation_id -%}{{- return(known.batch) -}}{%- endif -%}
    {%- set tables = adapter.tables_in('_lakefeed') -%}
    {%- set text, number = lakefeed.type_named('varchar'), lakefeed.type_named('bigint') -%}
    {%- set columns = {
        'format': ['version ' ~ text],
        'staged_loads': ['model ' ~ text, 'load_id ' ~ text, 'snapshot_at ' ~ text, 'batch ' ~ number],
        'compared_keys': ['model ' ~ text, 'compared_as ' ~ text],
        'histories': ['model ' ~ text, 'made_from ' ~ text],
        'batches': ['batch ' ~ number]
    } -%}
    {%- do lakefeed.run_statement('create schema if not exists ' ~ adapter.ledger_schema()) if not tables -%}
    {%- for table, listed in columns.items() if table not in tables -%}
        {%- do lakefeed.run_statement(lakefeed.new_ledger_table(table, listed | join(', '))) -%}
        {%- if table == 'format' -%}
            {%- do lakefeed.run_statement('insert into ' ~ lakefeed.ledger('format') ~ " values ('1.0')") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set batches = lakefeed.ledger('batches') -%}
    {%- set batch = adapter.rows('select coalesce(max(batch), 0) + 1 from ' ~ batches)[0][0] -%}
    {%- do lakefeed.run_statement(lakefeed.overwritten(batches, 'select cast(' ~ batch ~ ' as ' ~ number ~ ') as batch')) -%}
    {%- do graph.update({'lakefeed_batch': {'invocation_id': invocation_id, 'batch': batch}}) -%}
    {{- return(batch) -}}
{% endmacro %}


{# Runs one statement. #}
{% macro run_statement(sql) %}
    {%- call statement(auto_begin=False) -%}{{ sql }}{%- endcall -%}
{% endmacro %}


{# The statement that creates a table of the ledger with these columns. #}
{% macro new_ledger_table(table, columns) %}
    {{- return(adapter.dispatch('new_ledger_table', 'lakefeed')(table, columns)) -}}
{% endmacro %}


{% macro default__new_ledger_table(table, columns) %}
    {{- return('create table ' ~ lakefeed.ledger(table) ~ ' (' ~ columns ~ ')') -}}
{% endmacro %}


{# The statement that replaces all rows of a table by those of a query. #}
{% macro overwritten(table, query) %}
    {{- return(adapter.dispatch('overwritten', 'lakefeed')(table, query)) -}}
{% endmacro %}


{% macro default__overwritten(table, query) %}
    {{- return('insert overwrite ' ~ table ~ ' ' ~ query) -}}
{% endmacro %}
