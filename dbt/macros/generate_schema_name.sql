{# Uses configured schema names as they are (`staging`, `marts`), without dbt's default prefix. #}
{% macro generate_schema_name(custom_schema_name, node) %}
    {{- (custom_schema_name or target.schema) | trim -}}
{% endmacro %}
