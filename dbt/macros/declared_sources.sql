{# Written by `lakefeed sync` from sources.yaml; a file without this line is left alone. #}
{# Whether sources.yaml declares a source; marts of others are not built. #}
{% macro source_is_declared(name) %}
    {{- return(name in ['shop']) -}}
{% endmacro %}
