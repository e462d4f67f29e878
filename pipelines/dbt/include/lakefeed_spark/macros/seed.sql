{#
    dbt-spark's seeds, with two differences. A table that exists is replaced instead of dropped, since public
    views are pinned to its snapshots. And values keep what they are: dbt-spark writes them into its statement,
    where whole numbers become floating-point ones, empty values become 'None', and a quote ends the text.
#}
{% macro lakefeed_spark__reset_csv_table(model, full_refresh, old_relation, agate_table) %}
    {{- return(create_csv_table(model, agate_table)) -}}
{% endmacro %}


{% macro lakefeed_spark__create_csv_table(model, agate_table) %}
    {%- set quotes = model['config'].get('quote_columns', none) -%}
    {%- set created -%}
        create or replace table {{ this.render() }} (
            {% for name in agate_table.column_names -%}
            {{ adapter.quote_seed_column(name | string, quotes) }} {{ lakefeed_spark_seed_type(model, agate_table, loop.index0) }}
            {{- ', ' if not loop.last }}
            {% endfor %}
        )
        {{ file_format_clause() }}
        {{ partition_cols(label='partitioned by') }}
        {{ comment_clause() }}
    {%- endset -%}
    {%- call statement() -%}{{ created }}{%- endcall -%}
    {{- return(created) -}}
{% endmacro %}


{% macro lakefeed_spark__load_csv_rows(model, agate_table) %}
    {%- do adapter.open_seed('lakefeed_seed', agate_table) -%}
    {%- set loaded -%}
        insert into {{ this.render() }}
        select
            {% for name in agate_table.column_names -%}
            cast({{ adapter.quote(name) }} as {{ lakefeed_spark_seed_type(model, agate_table, loop.index0) }}) as {{ adapter.quote(name) }}
            {{- ', ' if not loop.last }}
            {% endfor %}
        from lakefeed_seed
    {%- endset -%}
    {%- do adapter.add_query(loaded, abridge_sql_log=true) -%}
    {{- return(loaded) -}}
{% endmacro %}


{% macro lakefeed_spark_seed_type(model, agate_table, number) %}
    {%- set declared = model['config'].get('column_types', {}) -%}
    {{- return(declared.get(agate_table.column_names[number], adapter.convert_type(agate_table, number))) -}}
{% endmacro %}
