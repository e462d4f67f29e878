{# A table becomes a view: readers may be pinned to the table's snapshots, so that it may have to stay. #}
{% macro lakefeed_spark__handle_existing_table(full_refresh, old_relation) %}
    {%- do adapter.make_way_for_view(old_relation) -%}
{% endmacro %}
