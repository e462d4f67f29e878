{# What Snowflake writes differently (../dialects.sql). #}

{% macro snowflake__type_named(type) %}
    {{- return(adapter.snowflake_type(type)) -}}
{% endmacro %}


{# A backslash escapes. #}
{% macro snowflake__sql_text(value) %}
    {{- return("'" ~ (value | string).replace('\\', '\\\\').replace("'", "\\'") ~ "'") -}}
{% endmacro %}


{# Column by column: no type holds a whole row exactly. #}
{% macro snowflake__differs_from_last(columns, window) %}
    {%- set differ = ['false'] -%}
    {%- for column in lakefeed.quoted(columns.keys() | list).values() -%}
        {%- do differ.append(column ~ ' is distinct from lag(' ~ column ~ ') over (' ~ window ~ ')') -%}
    {%- endfor -%}
    {{- return('(' ~ differ | join(' or ') ~ ')') -}}
{% endmacro %}


{# Snowflake's is null if one of them is. #}
{% macro snowflake__least_of(first, second) %}
    {{- return(
        'least(coalesce(' ~ first ~ ', ' ~ second ~ '), coalesce(' ~ second ~ ', ' ~ first ~ '))'
    ) -}}
{% endmacro %}


{% macro snowflake__one_of(function, values) %}
    {%- if function != 'greatest' -%}{{- return(function ~ '(' ~ values | join(', ') ~ ')') -}}{%- endif -%}
    {%- set filled = [] -%}
    {%- for value in values -%}
        {%- do filled.append('coalesce(' ~ ([value] + (values | reject('equalto', value) | list)) | join(', ') ~ ')') -%}
    {%- endfor -%}
    {{- return('greatest(' ~ filled | join(', ') ~ ')') -}}
{% endmacro %}


{% macro snowflake__value_at_greatest(value, by) %}
    {{- return('max_by(' ~ value ~ ', ' ~ by ~ ')') -}}
{% endmacro %}


{% macro snowflake__time_in_zone(value, timezone) %}
    {{- return(
        "cast(convert_timezone('" ~ timezone ~ "', 'UTC', cast(" ~ value ~ ' as timestamp_ntz(6))) as timestamp_tz(6))'
    ) -}}
{% endmacro %}


{% macro snowflake__each_of(values) %}
    {{- exceptions.raise_compiler_error(
        'each_of: Snowflake makes no rows in a select list; write a join with these values instead'
    ) -}}
{% endmacro %}


{% macro snowflake__days_between(first, last) %}
    {{- exceptions.raise_compiler_error(
        'days_between: Snowflake makes no rows in a select list; take them from table(generator(…)) instead'
    ) -}}
{% endmacro %}


{% macro snowflake__each_of_or_first(first, second, condition) %}
    {{- return('case when _lakefeed_each.n = 0 then ' ~ first ~ ' else ' ~ second ~ ' end') -}}
{% endmacro %}


{% macro snowflake__joins_each_of_or_first(condition) %}
    {{- return(
        'join (select 0 as n union all select 1) as _lakefeed_each on _lakefeed_each.n = 0 or not (' ~ condition ~ ')'
    ) -}}
{% endmacro %}


{% macro snowflake__microseconds(moment) %}
    {{- return('date_part(epoch_microsecond, ' ~ moment ~ ')') -}}
{% endmacro %}


{% macro snowflake__moment_of(microseconds) %}
    {{- return(
        'dateadd(microsecond, ' ~ microseconds ~ ", cast('1970-01-01 00:00:00 +00:00' as timestamp_tz(6)))"
    ) -}}
{% endmacro %}


{% macro snowflake__json_text(value, path) %}
    {{- return('cast(get_path(try_parse_json(' ~ value ~ '), ' ~ lakefeed.sql_text(path[2:]) ~ ') as varchar)') -}}
{% endmacro %}


{% macro snowflake__month_name(day) %}
    {{- return('to_char(cast(' ~ day ~ " as date), 'MMMM')") -}}
{% endmacro %}


{% macro snowflake__weekday_name(day) %}
    {{- return(
        "decode(dayofweekiso(" ~ day ~ "), 1, 'Monday', 2, 'Tuesday', 3, 'Wednesday', 4, 'Thursday', 5, 'Friday',"
        ~ " 6, 'Saturday', 'Sunday')"
    ) -}}
{% endmacro %}


{% macro snowflake__weekday_number(day) %}
    {{- return('dayofweekiso(' ~ day ~ ')') -}}
{% endmacro %}


{% macro snowflake__beginning() %}
    {{- return("cast('1900-01-01 00:00:00 +00:00' as timestamp_tz(6))") -}}
{% endmacro %}


{% macro snowflake__quote(name) %}
    {{- return(adapter.snowflake_quoted(name)) -}}
{% endmacro %}


{% macro snowflake__quoted(names) %}
    {%- set quoted = {} -%}
    {%- for name in names -%}{%- do quoted.update({name: adapter.snowflake_quoted(name)}) -%}{%- endfor -%}
    {{- return(quoted) -}}
{% endmacro %}


{% macro snowflake__comparison(form) %}
    {{- return(adapter.snowflake_form(form)) -}}
{% endmacro %}


{# Its `asof` joins are written otherwise, and take no expressions. #}
{% macro snowflake__join_version(versions, member, at) %}
    {{- return(lakefeed.joined_by_periods(versions, member, at)) -}}
{% endmacro %}
