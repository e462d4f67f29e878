{# A name as an SQL identifier. `adapter.quote` doesn't escape quotes within the name. #}
{% macro quote(name) %}
    {{- return(adapter.dispatch('quote', 'lakefeed')(name)) -}}
{% endmacro %}


{% macro duckdb__quote(name) %}
    {{- return('"' ~ name.replace('"', '""') ~ '"') -}}
{% endmacro %}


{# These names as SQL identifiers, by name: one call for many, since each call of a macro costs time. #}
{% macro quoted(names) %}
    {{- return(adapter.dispatch('quoted', 'lakefeed')(names)) -}}
{% endmacro %}


{% macro duckdb__quoted(names) %}
    {%- set quoted = {} -%}
    {%- for name in names -%}
        {%- do quoted.update({name: '"' ~ name.replace('"', '""') ~ '"'}) -%}
    {%- endfor -%}
    {{- return(quoted) -}}
{% endmacro %}


{% macro quoted_list(names) %}
    {{- return(lakefeed.quoted([names] if names is string else names).values() | join(', ')) -}}
{% endmacro %}


{#
    The cursor of a row as an expression.

    Args:
        cursor: a column; or several of the same type and the function that makes one value of them:
            `{'coalesce': ['updated_at', 'created_at']}`, or `greatest`, which ignores nulls.
        rows: the relation that has the columns; none if it is the only one.
#}
{% macro cursor_value(cursor, rows=none) %}
    {%- set of = rows ~ '.' if rows else '' -%}
    {%- if cursor is string -%}
        {{- return(of ~ lakefeed.quote(cursor)) -}}
    {%- endif -%}
    {%- for function, columns in cursor.items() -%}
        {%- set values = [] -%}
        {%- for column in columns -%}
            {%- do values.append(of ~ lakefeed.quote(column)) -%}
        {%- endfor -%}
        {#- Spark has no greatest of one value. -#}
        {{- return(lakefeed.one_of(function, values) if values | length > 1 else values[0]) -}}
    {%- endfor -%}
{% endmacro %}


{# The value that `coalesce` or `greatest` makes of these, of which some may be null. #}
{% macro one_of(function, values) %}
    {{- return(adapter.dispatch('one_of', 'lakefeed')(function, values)) -}}
{% endmacro %}


{% macro default__one_of(function, values) %}
    {{- return(function ~ '(' ~ values | join(', ') ~ ')') -}}
{% endmacro %}
