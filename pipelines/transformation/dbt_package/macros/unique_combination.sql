{# Generic test: no two rows agree in all of these columns. #}
{% test unique_combination(model, columns) %}
    select {{ lakefeed.quoted_list(columns) }}, count(*) as rows_sharing_it
    from {{ model }}
    group by {{ lakefeed.quoted_list(columns) }}
    having count(*) > 1
{% endtest %}
