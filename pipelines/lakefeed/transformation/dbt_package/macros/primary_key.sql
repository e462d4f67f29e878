{#
    Generic test: these columns identify each row. None of them is null, and no two rows agree in all of
    them. One node for each key instead of one for each column and rule: a test costs dbt more than
    DuckDB. For `compared_as`, see keys.sql.
#}
{% test primary_key(model, columns, compared_as={}) %}
    {%- set quoted = lakefeed.quoted(columns) -%}
    select
        {% for name in columns -%}
        any_value(tested.{{ quoted[name] }}) as {{ quoted[name] }},
        {% endfor -%}
        count(*) as rows_sharing_it
    from {{ model }} as tested
    group by {{ lakefeed.key_of(columns, compared_as, 'tested') }}
    having
        count(*) > 1
        {%- for name in columns %}
        or count(tested.{{ quoted[name] }}) < count(*)
        {%- endfor %}
{% endtest %}
