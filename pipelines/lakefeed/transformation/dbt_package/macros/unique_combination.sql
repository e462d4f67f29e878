{# Generic test: no two rows agree in all of these columns. For `compared_as`, see keys.sql. #}
{% test unique_combination(model, columns, compared_as={}) %}
    select
        {% for name in columns -%}
        any_value(tested.{{ lakefeed.quote(name) }}) as {{ lakefeed.quote(name) }},
        {% endfor -%}
        count(*) as rows_sharing_it
    from {{ model }} as tested
    group by {{ lakefeed.key_of(columns, compared_as, 'tested') }}
    having count(*) > 1
{% endtest %}
