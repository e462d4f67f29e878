{#
    Generic tests for what sources.yaml declares below `tests`. They return whole rows if possible, so
    that the stored failing rows show what is wrong. Nulls pass all of them.
#}

{# Every value of the column is one of these values. #}
{% test one_of(model, column_name, values) %}
    {%- set listed = [] -%}
    {%- for value in values -%}{%- do listed.append(lakefeed.sql_text(value)) -%}{%- endfor -%}
    select *
    from {{ model }}
    where {{ lakefeed.comparable_to_texts(column_name) }} not in ({{ listed | join(', ') }})
{% endtest %}


{# A column as it is compared to values in quotes, which some engines cast to the column's type. #}
{% macro comparable_to_texts(column) %}
    {{- return(adapter.dispatch('comparable_to_texts', 'lakefeed')(column)) -}}
{% endmacro %}


{% macro default__comparable_to_texts(column) %}
    {{- return(column) -}}
{% endmacro %}


{# Every value lies between these bounds (inclusive), cast to the type `compare_as` if given. #}
{% test in_range(model, column_name, least=none, most=none, compare_as=none) %}
    {%- set value = 'cast(' ~ column_name ~ ' as ' ~ lakefeed.type_named(compare_as) ~ ')' if compare_as else column_name -%}
    select *
    from {{ model }}
    where
        {{ value ~ ' < ' ~ lakefeed.sql_bound(least) if least is not none else 'false' }}
        or {{ value ~ ' > ' ~ lakefeed.sql_bound(most) if most is not none else 'false' }}
{% endtest %}


{# Every value exists in a column of another model. For `compared_as`, see keys.sql. #}
{% test refers_to(model, column_name, to, field, compared_as='{value}') %}
    select *
    from {{ model }} as referring
    where
        {{ column_name }} is not null
        and not exists (
            select 1
            from {{ to }} as referred
            where
                {{ lakefeed.comparison(compared_as).replace('{value}', 'referred.' ~ lakefeed.quote(field)) }}
                = {{ lakefeed.comparison(compared_as).replace('{value}', 'referring.' ~ column_name) }}
        )
{% endtest %}


{# The condition isn't false for any row. #}
{% test meets(model, condition) %}
    select *
    from {{ model }}
    where not (
        {{ condition }}
    )
{% endtest %}


{# The number of rows in the model is within these bounds. #}
{% test row_count(model, least=none, most=none) %}
    select count(*) as rows_found
    from {{ model }}
    having {{ lakefeed.is_beyond('count(*)', least, most) }}
{% endtest %}


{#
    The number of rows that the newest build added is within these bounds. Passes if a single build
    added all rows, as after a first load.
#}
{% test new_row_count(model, least=none, most=none) %}
    select _staged_batch, count(*) as rows_found
    from {{ model }}
    where _staged_batch = (
        select max(_staged_batch)
        from {{ model }}
        having count(distinct _staged_batch) > 1
    )
    group by _staged_batch
    having {{ lakefeed.is_beyond('count(*)', least, most) }}
{% endtest %}


{# Whether a count is outside its bounds. #}
{% macro is_beyond(count, least, most) %}
    {{- count ~ ' < ' ~ least if least is not none else 'false' }} or {{ count ~ ' > ' ~ most if most is not none else 'false' -}}
{% endmacro %}


{# A number as it is, anything else as a string, which engines cast to the column's type. #}
{% macro sql_bound(value) %}
    {{- return(value if value is number else lakefeed.sql_text(value)) -}}
{% endmacro %}
