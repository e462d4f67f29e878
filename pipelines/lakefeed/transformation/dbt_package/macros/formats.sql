{#
    Fails if the format's major version is newer than the one that these macros read: 1, for every kind
    of document. The Python code refuses the same (pipelines/lakefeed/documents.py).
#}
{% macro refuse_newer(what, version) %}
    {%- if version.split('.')[0] | int > 1 -%}
        {{- exceptions.raise_compiler_error(
            what ~ ' was written by a newer version of Lakefeed (format ' ~ version ~ '): upgrade Lakefeed'
        ) -}}
    {%- endif -%}
{% endmacro %}


{# Fails if the warehouse file, which has these tables in `_lakefeed`, was written in a newer format. #}
{% macro refuse_newer_warehouse(tables) %}
    {%- if 'format' in tables -%}
        {%- for row in run_query('select version from _lakefeed.format').rows -%}
            {%- do lakefeed.refuse_newer('the warehouse', row[0]) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}
