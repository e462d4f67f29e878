{#
    A surrogate key: the md5 hash of these columns as text. Null differs from an empty string, and
    ('a', 'bc') from ('ab', 'c'). The key is null only if every column is null.
#}
{% macro surrogate_key(columns) %}
    {%- set text = lakefeed.type_named('varchar') -%}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do parts.append(
            "coalesce(cast(length(cast(" ~ column ~ " as " ~ text ~ ")) as " ~ text ~ ") || ':' || cast("
            ~ column ~ " as " ~ text ~ "), '-')"
        ) -%}
    {%- endfor -%}
    case
        when {% for column in columns %}({{ column }}) is not null{{ ' or ' if not loop.last }}{% endfor %}
            then {{ lakefeed.md5_of(parts | join(" || '|' || ")) }}
    end
{%- endmacro %}


{# The md5 hash of a text, in hexadecimal digits. #}
{% macro md5_of(text) %}
    {{- return(adapter.dispatch('md5_of', 'lakefeed')(text)) -}}
{% endmacro %}


{% macro default__md5_of(text) %}
    {{- return('md5(' ~ text ~ ')') -}}
{% endmacro %}
