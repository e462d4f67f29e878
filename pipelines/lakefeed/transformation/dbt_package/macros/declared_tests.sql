{#
    Generic tests for what sources.yaml declares below `tests`. Each gives whole rows, where it can,
    so that what is kept of a failed test tells which rows to look at. A null breaks none of them.
#}

{# The column has one of these values. #}
{% test one_of(model, column_name, values) %}
    {%- set listed = [] -%}
    {%- for value in values -%}{%- do listed.append(lakefeed.sql_text(value)) -%}{%- endfor -%}
    select *
    from {{ model }}
    where {{ column_name }} not in ({{ listed | join(', ') }})
{% endtest %}


{# The column lies between these values, both included; `compare_as` is a type to cast it to. #}
{% test in_range(model, column_name, least=none, most=none, compare_as=none) %}
    {%- set value = 'cast(' ~ column_name ~ ' as ' ~ compare_as ~ ')' if compare_as else column_name -%}
    select *
    from {{ model }}
    where
        {{ value ~ ' < ' ~ lakefeed.sql_bound(least) if least is not none else 'false' }}
        or {{ value ~ ' > ' ~ lakefeed.sql_bound(most) if most is not none else 'false' }}
{% endtest %}


{# Each value is found in a column of another model, as they are compared (keys.sql). #}
{% test refers_to(model, column_name, to, field, compared_as='{value}') %}
    select *
    from {{ model }} as referring
    where
        {{ column_name }} is not null
        and not exists (
            select 1
            from {{ to }} as referred
            where
                {{ compared_as.replace('{value}', 'referred.' ~ lakefeed.quote(field)) }}
                = {{ compared_as.replace('{value}', 'referring.' ~ column_name) }}
        )
{% endtest %}


{# No row makes the condition false. #}
{% test meets(model, condition) %}
    select *
    from {{ model }}
    where not (
        {{ condition }}
    )
{% endtest %}


{# The model holds so many rows. #}
{% test row_count(model, least=none, most=none) %}
    select count(*) as rows_found
    from {{ model }}
    having {{ lakefeed.is_beyond('count(*)', least, most) }}
{% endtest %}


{#
    The newest build that brought rows brought so many. Where all rows have come with one build, as
    with a first load, there is nothing to hold them against.
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


{# Whether a count is below or above its bounds. #}
{% macro is_beyond(count, least, most) %}
    {{- count ~ ' < ' ~ least if least is not none else 'false' }} or {{ count ~ ' > ' ~ most if most is not none else 'false' -}}
{% endmacro %}


{# A number as it is, anything else as a text, which DuckDB casts to the type of the column. #}
{% macro sql_bound(value) %}
    {{- return(value if value is number else lakefeed.sql_text(value)) -}}
{% endmacro %}


{# A value as a quoted SQL string. #}
{% macro sql_text(value) %}
    {{- return("'" ~ (value | string).replace("'", "''") ~ "'") -}}
{% endmacro %}
