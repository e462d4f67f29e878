{# What BigQuery writes differently (../dialects.sql). #}

{% macro bigquery__type_named(type) %}
    {{- return(adapter.bigquery_type(type)) -}}
{% endmacro %}


{% macro bigquery__sql_text(value) %}
    {{- return(adapter.bigquery_text(value | string)) -}}
{% endmacro %}


{# As text, since not all types can be compared within a struct. #}
{% macro bigquery__as_one_value(columns) %}
    {{- return('to_json_string(struct(' ~ lakefeed.quoted_list(columns) ~ '))') -}}
{% endmacro %}


{% macro bigquery__differs_from_last(columns, window) %}
    {%- set values = lakefeed.as_one_value(columns) -%}
    {{- return(values ~ ' is distinct from lag(' ~ values ~ ') over (' ~ window ~ ')') -}}
{% endmacro %}


{# `least` and `greatest` are null if one value is. #}
{% macro bigquery__least_of(first, second) %}
    {{- return('coalesce(least(' ~ first ~ ', ' ~ second ~ '), ' ~ first ~ ', ' ~ second ~ ')') -}}
{% endmacro %}


{% macro bigquery__one_of(function, values) %}
    {%- if function == 'coalesce' -%}{{- return('coalesce(' ~ values | join(', ') ~ ')') -}}{%- endif -%}
    {%- set found = namespace(value=values[0]) -%}
    {%- for value in values[1:] -%}
        {%- set found.value = 'coalesce(' ~ function ~ '(' ~ found.value ~ ', ' ~ value ~ '), ' ~ found.value
            ~ ', ' ~ value ~ ')' -%}
    {%- endfor -%}
    {{- return(found.value) -}}
{% endmacro %}


{% macro bigquery__all_but(names) %}
    {{- return('* except (' ~ names | join(', ') ~ ')') -}}
{% endmacro %}


{# `max_by` takes no row whose value is null. #}
{% macro bigquery__value_at_greatest(value, by) %}
    {{- return('array_agg(' ~ value ~ ' order by ' ~ by ~ ' desc limit 1)[safe_offset(0)]') -}}
{% endmacro %}


{#
    Of an hour that a clock shows twice, BigQuery takes the first, and PostgreSQL and DuckDB the second: the
    one in the offset of the next day, if it shows the same time.
#}
{% macro bigquery__time_in_zone(value, timezone) %}
    {%- set shown, zone = 'cast(' ~ value ~ ' as datetime)', lakefeed.sql_text(timezone) -%}
    {%- set second = 'timestamp_sub(timestamp(datetime_add(' ~ shown ~ ', interval 1 day), ' ~ zone
        ~ '), interval 1 day)' -%}
    {{- return(
        'case when datetime(' ~ second ~ ', ' ~ zone ~ ') = ' ~ shown ~ ' then ' ~ second
        ~ ' else timestamp(' ~ shown ~ ', ' ~ zone ~ ') end'
    ) -}}
{% endmacro %}


{% macro bigquery__each_of(values) %}
    {{- exceptions.raise_compiler_error(
        "a select list of BigQuery's makes no rows: write `cross join unnest([" ~ values | join(', ') ~ '])`'
    ) -}}
{% endmacro %}


{% macro bigquery__days_between(first, last) %}
    {{- exceptions.raise_compiler_error(
        "a select list of BigQuery's makes no rows: write `cross join unnest(generate_date_array(" ~ first ~ ', '
        ~ last ~ '))`'
    ) -}}
{% endmacro %}


{# A select list makes no rows: the join does. #}
{% macro bigquery__each_of_or_first(first, second, condition) %}
    {{- return('if(_lakefeed_is_first, ' ~ first ~ ', ' ~ second ~ ')') -}}
{% endmacro %}


{% macro bigquery__joins_each_of_or_first(condition) %}
    {{- return('cross join unnest(if(' ~ condition ~ ', [true], [true, false])) as _lakefeed_is_first') -}}
{% endmacro %}


{% macro bigquery__microseconds(moment) %}
    {{- return('unix_micros(' ~ moment ~ ')') -}}
{% endmacro %}


{% macro bigquery__moment_of(microseconds) %}
    {{- return('timestamp_micros(' ~ microseconds ~ ')') -}}
{% endmacro %}


{% macro bigquery__json_text(value, path) %}
    {%- set arguments = '(' ~ value ~ ', ' ~ lakefeed.sql_text(path) ~ ')' -%}
    {{- return('coalesce(json_value' ~ arguments ~ ', json_query' ~ arguments ~ ')') -}}
{% endmacro %}


{% macro bigquery__month_name(day) %}
    {{- return("format_date('%B', cast(" ~ day ~ " as date))") -}}
{% endmacro %}


{% macro bigquery__weekday_name(day) %}
    {{- return("format_date('%A', cast(" ~ day ~ " as date))") -}}
{% endmacro %}


{% macro bigquery__weekday_number(day) %}
    {{- return('mod(extract(dayofweek from ' ~ day ~ ') + 5, 7) + 1') -}}
{% endmacro %}


{% macro bigquery__md5_of(text) %}
    {{- return('to_hex(md5(' ~ text ~ '))') -}}
{% endmacro %}


{% macro bigquery__beginning() %}
    {{- return("timestamp '1900-01-01 00:00:00+00'") -}}
{% endmacro %}


{% macro bigquery__quote(name) %}
    {{- return(adapter.bigquery_name(name)) -}}
{% endmacro %}


{% macro bigquery__quoted(names) %}
    {%- set quoted = {} -%}
    {%- for name in names -%}{%- do quoted.update({name: adapter.bigquery_name(name)}) -%}{%- endfor -%}
    {{- return(quoted) -}}
{% endmacro %}


{% macro bigquery__comparison(form) %}
    {{- return(adapter.bigquery_form(form)) -}}
{% endmacro %}


{# A subquery after `in` has one column. #}
{% macro bigquery__among(key, others, rows) %}
    {{- return('(' ~ key ~ ') in (select (' ~ others ~ ') ' ~ rows ~ ')') -}}
{% endmacro %}


{# Texts aren't cast to numbers. #}
{% macro bigquery__comparable_to_texts(column) %}
    {{- return('cast(' ~ column ~ ' as string)') -}}
{% endmacro %}


{# BigQuery has no `asof`. #}
{% macro bigquery__join_version(versions, member, at) %}
    {{- return(lakefeed.joined_by_periods(versions, member, at)) -}}
{% endmacro %}
