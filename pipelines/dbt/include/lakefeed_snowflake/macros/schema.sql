{# Where dbt builds, nothing is permanent (lakefeed/transformation/targets/snowflake.py). #}
{% macro lakefeed_snowflake__create_schema(relation) %}
    {%- call statement('create_schema') -%}
        create transient schema if not exists {{ relation.without_identifier() }} data_retention_time_in_days = 0
    {%- endcall -%}
{% endmacro %}
