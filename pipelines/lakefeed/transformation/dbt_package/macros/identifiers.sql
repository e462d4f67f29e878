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
