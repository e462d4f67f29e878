{# Uses the configured schema name (`staging`, `marts`) as it is; dbt's default adds a prefix. #}
{% macro generate_schema_name(custom_schema_name, node) %}
    {{- (custom_schema_name or target.schema) | trim -}}
{% endmacro %}
