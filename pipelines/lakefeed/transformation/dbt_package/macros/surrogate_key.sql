{#
    A surrogate key: the md5 hash of these columns as text. Null differs from an empty string, and
    ('a', 'bc') from ('ab', 'c'). The key is null only if every column is null.
#}
{% macro surrogate_key(columns) %}
    {{- return(adapter.dispatch('surrogate_key', 'lakefeed')(columns)) -}}
{% endmacro %}


{% macro duckdb__surrogate_key(columns) %}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do parts.append(
            "coalesce(length(cast(" ~ column ~ " as varchar)) || ':' || cast("
            ~ column ~ " as varchar), '-')"
        ) -%}
    {%- endfor -%}
    case
        when coalesce({% for column in columns %}cast({{ column }} as varchar){{ ', ' if not loop.last }}{% endfor %}) is not null
            then md5({{ parts | join(" || '|' || ") }})
    end
{%- endmacro %}
