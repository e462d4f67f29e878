{#
    Fails where something was written in a format of a later major version than these macros read, which
    is 1 of everything. `lakefeed` itself refuses the same (pipelines/lakefeed/documents.py).
#}
{% macro refuse_newer(what, version) %}
    {%- if version.split('.')[0] | int > 1 -%}
        {{- exceptions.raise_compiler_error(
            what ~ ' was written by a newer Lakefeed (format ' ~ version ~ '): upgrade Lakefeed'
        ) -}}
    {%- endif -%}
{% endmacro %}


{# Fails where a newer version noted in the warehouse what it has staged. #}
{% macro refuse_newer_warehouse() %}
    {%- set noted -%}
        select count(*) from duckdb_tables()
        where
            database_name = current_database()
            and schema_name = '_lakefeed'
            and table_name = 'format'
    {%- endset -%}
    {%- if run_query(noted).columns[0].values()[0] -%}
        {%- for row in run_query('select version from _lakefeed.format').rows -%}
            {%- do lakefeed.refuse_newer('the warehouse', row[0]) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}
