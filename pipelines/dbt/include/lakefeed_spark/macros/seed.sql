{#
    dbt-spark's seeds, with one difference: a table that exists is replaced instead of dropped, since public
    views are pinned to its snapshots.
#}
{% macro lakefeed_spark__reset_csv_table(model, full_refresh, old_relation, agate_table) %}
    {{- return(create_csv_table(model, agate_table)) -}}
{% endmacro %}


{% macro lakefeed_spark__create_csv_table(model, agate_table) %}
    {%- set types = model['config'].get('column_types', {}) -%}
    {%- set quotes = model['config'].get('quote_columns', none) -%}
    {%- set created -%}
        create or replace table {{ this.render() }} (
            {% for name in agate_table.column_names -%}
            {{ adapter.quote_seed_column(name | string, quotes) }} {{ types.get(name, adapter.convert_type(agate_table, loop.index0)) }}
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
