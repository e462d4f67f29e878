{# Written by `lakefeed sync` from sources.yaml; a file without this line is left alone. #}
{# Whether sources.yaml declares this source. Marts of undeclared sources aren't built. #}
{% macro source_is_declared(name) %}
    {{- return(name in ['shop']) -}}
{% endmacro %}
