{# What Spark writes differently (../dialects.sql). #}

{% macro spark__type_named(type) %}
    {{- return(adapter.spark_type(type)) -}}
{% endmacro %}


{# A backslash escapes, and two quotes end one string and begin the next. #}
{% macro spark__sql_text(value) %}
    {{- return("'" ~ (value | string).replace('\\', '\\\\').replace("'", "\\'") ~ "'") -}}
{% endmacro %}


{% macro spark__as_one_value(columns) %}
    {{- return('struct(' ~ lakefeed.quoted_list(columns) ~ ')') -}}
{% endmacro %}


{% macro spark__all_but(names) %}
    {{- return('* except (' ~ names | join(', ') ~ ')') -}}
{% endmacro %}


{% macro spark__value_at_greatest(value, by) %}
    {{- return('max_by(' ~ value ~ ', ' ~ by ~ ')') -}}
{% endmacro %}


{#
    Of an hour that a clock shows twice, Spark takes the first, and PostgreSQL and DuckDB the second: the
    one in the offset of the next day, if it shows the same time.
#}
{% macro spark__time_in_zone(value, timezone) %}
    {%- set shown = 'cast(' ~ value ~ ' as timestamp)' -%}
    {%- set second = "to_utc_timestamp(" ~ shown ~ " + interval '1' day, '" ~ timezone ~ "') - interval '1' day" -%}
    {{- return(
        'case when from_utc_timestamp(' ~ second ~ ", '" ~ timezone ~ "') = " ~ shown ~ ' then ' ~ second
        ~ ' else to_utc_timestamp(' ~ shown ~ ", '" ~ timezone ~ "') end"
    ) -}}
{% endmacro %}


{% macro spark__each_of(values) %}
    {{- return('explode(array(' ~ values | join(', ') ~ '))') -}}
{% endmacro %}


{% macro spark__each_of_or_first(first, second, condition) %}
    {{- return(
        'explode(case when ' ~ condition ~ ' then array(' ~ first ~ ') else array(' ~ first ~ ', ' ~ second
        ~ ') end)'
    ) -}}
{% endmacro %}


{% macro spark__days_between(first, last) %}
    {{- return(
        'explode(sequence(cast(' ~ first ~ ' as date), cast(' ~ last ~ ' as date), interval 1 day))'
    ) -}}
{% endmacro %}


{% macro spark__microseconds(moment) %}
    {{- return('unix_micros(' ~ moment ~ ')') -}}
{% endmacro %}


{% macro spark__moment_of(microseconds) %}
    {{- return('timestamp_micros(' ~ microseconds ~ ')') -}}
{% endmacro %}


{% macro spark__json_text(value, path) %}
    {{- return('get_json_object(' ~ value ~ ', ' ~ lakefeed.sql_text(path) ~ ')') -}}
{% endmacro %}


{% macro spark__month_name(day) %}
    {{- return("date_format(" ~ day ~ ", 'MMMM')") -}}
{% endmacro %}


{% macro spark__weekday_name(day) %}
    {{- return("date_format(" ~ day ~ ", 'EEEE')") -}}
{% endmacro %}


{% macro spark__weekday_number(day) %}
    {{- return('weekday(' ~ day ~ ') + 1') -}}
{% endmacro %}


{% macro spark__beginning() %}
    {{- return("timestamp '1900-01-01 00:00:00+00'") -}}
{% endmacro %}


{% macro spark__quote(name) %}
    {{- return('`' ~ name.replace('`', '``') ~ '`') -}}
{% endmacro %}


{% macro spark__quoted(names) %}
    {%- set quoted = {} -%}
    {%- for name in names -%}
        {%- do quoted.update({name: '`' ~ name.replace('`', '``') ~ '`'}) -%}
    {%- endfor -%}
    {{- return(quoted) -}}
{% endmacro %}


{% macro spark__comparison(form) %}
    {{- return(adapter.spark_form(form)) -}}
{% endmacro %}


{# Spark has no `asof`. #}
{% macro spark__join_version(versions, member, at) %}
    {{- return(lakefeed.joined_by_periods(versions, member, at)) -}}
{% endmacro %}
