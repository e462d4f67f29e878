{#
    Fails if the warehouse, which has these tables in `_lakefeed`, was written in a format whose major
    version is newer than the one that these macros read: 1. The Python code refuses the same
    (pipelines/lakefeed/documents.py).
#}
{% macro refuse_newer_warehouse(tables) %}
    {%- if 'format' in tables -%}
        {%- for row in run_query('select version from ' ~ lakefeed.ledger('format')).rows -%}
            {%- if row[0].split('.')[0] | int > 1 -%}
                {{- exceptions.raise_compiler_error(
                    'the warehouse was written by a newer version of Lakefeed (format ' ~ row[0]
                    ~ '): upgrade Lakefeed'
                ) -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}
