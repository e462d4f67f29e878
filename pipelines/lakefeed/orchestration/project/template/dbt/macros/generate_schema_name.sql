{# Schemas are called what they are configured to be: `staging` and `marts`, without a prefix. #}
{% macro generate_schema_name(custom_schema_name, node) %}
    {{- (custom_schema_name or target.schema) | trim -}}
{% endmacro %}
