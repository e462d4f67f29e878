{#
    A hashed surrogate key over columns: md5 of their texts, where a null differs from an empty text
    and ('a', 'bc') differs from ('ab', 'c'). Null only where every part is null.
#}
{% macro surrogate_key(columns) %}
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
