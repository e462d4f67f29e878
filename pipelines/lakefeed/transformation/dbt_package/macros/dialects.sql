{#
    What engines write differently. Lakefeed's own macros use these, and so can models: the same text
    then builds on every engine.
#}

{# An engine's name for one of the types in `_sources.yml`, which are DuckDB's. #}
{% macro type_named(type) %}
    {{- return(adapter.dispatch('type_named', 'lakefeed')(type)) -}}
{% endmacro %}


{% macro default__type_named(type) %}
    {{- return(type) -}}
{% endmacro %}


{# A value as a quoted SQL string. #}
{% macro sql_text(value) %}
    {{- return(adapter.dispatch('sql_text', 'lakefeed')(value)) -}}
{% endmacro %}


{% macro default__sql_text(value) %}
    {{- return("'" ~ (value | string).replace("'", "''") ~ "'") -}}
{% endmacro %}


{# These columns as one value, to compare whole rows. #}
{% macro as_one_value(columns) %}
    {{- return(adapter.dispatch('as_one_value', 'lakefeed')(columns)) -}}
{% endmacro %}


{% macro default__as_one_value(columns) %}
    {{- return('row(' ~ lakefeed.quoted_list(columns) ~ ')') -}}
{% endmacro %}


{#
    Whether these columns of a row differ from those of the row before it.

    Args:
        columns: DuckDB's types by name; none where they don't matter.
        window: the order of the rows, as `partition by … order by …`.
#}
{% macro differs_from_last(columns, window) %}
    {{- return(adapter.dispatch('differs_from_last', 'lakefeed')(columns, window)) -}}
{% endmacro %}


{% macro default__differs_from_last(columns, window) %}
    {%- set values = lakefeed.as_one_value(columns) -%}
    {%- set intervals = [] -%}
    {# To DuckDB, a month equals 30 days. #}
    {%- for name, type in columns.items() if type == 'interval' -%}
        {%- do intervals.append(lakefeed.quote(name) ~ '::varchar') -%}
    {%- endfor -%}
    {%- set values = 'row(' ~ ([values] + intervals) | join(', ') ~ ')' if intervals else values -%}
    {{- return(values ~ ' is distinct from lag(' ~ values ~ ') over (' ~ window ~ ')') -}}
{% endmacro %}


{# The lesser of two values, of which one may be null. #}
{% macro least_of(first, second) %}
    {{- return(adapter.dispatch('least_of', 'lakefeed')(first, second)) -}}
{% endmacro %}


{% macro default__least_of(first, second) %}
    {{- return('least(' ~ first ~ ', ' ~ second ~ ')') -}}
{% endmacro %}


{# In a select list: all columns but these. #}
{% macro all_but(names) %}
    {{- return(adapter.dispatch('all_but', 'lakefeed')(names)) -}}
{% endmacro %}


{% macro default__all_but(names) %}
    {{- return('* exclude (' ~ names | join(', ') ~ ')') -}}
{% endmacro %}


{# Aggregates: the value in the row where another is greatest, even if it is null there. #}
{% macro value_at_greatest(value, by) %}
    {{- return(adapter.dispatch('value_at_greatest', 'lakefeed')(value, by)) -}}
{% endmacro %}


{% macro default__value_at_greatest(value, by) %}
    {{- return('arg_max_null(' ~ value ~ ', ' ~ by ~ ')') -}}
{% endmacro %}


{# The moment of a time or day without time zone, in this zone. #}
{% macro time_in_zone(value, timezone) %}
    {{- return(adapter.dispatch('time_in_zone', 'lakefeed')(value, timezone)) -}}
{% endmacro %}


{% macro default__time_in_zone(value, timezone) %}
    {{- return('cast(' ~ value ~ " as timestamp) at time zone '" ~ timezone ~ "'") -}}
{% endmacro %}


{# In a select list: these values, each in a row of its own. #}
{% macro each_of(values) %}
    {{- return(adapter.dispatch('each_of', 'lakefeed')(values)) -}}
{% endmacro %}


{% macro default__each_of(values) %}
    {{- return('unnest([' ~ values | join(', ') ~ '])') -}}
{% endmacro %}


{# In a select list: the first value, and where the condition doesn't hold the second in another row. #}
{% macro each_of_or_first(first, second, condition) %}
    {{- return(adapter.dispatch('each_of_or_first', 'lakefeed')(first, second, condition)) -}}
{% endmacro %}


{% macro default__each_of_or_first(first, second, condition) %}
    {{- return(
        'unnest(case when ' ~ condition ~ ' then [' ~ first ~ '] else [' ~ first ~ ', ' ~ second ~ '] end)'
    ) -}}
{% endmacro %}


{#
    What must follow the from clause of a select that has `each_of_or_first` with this condition: a join
    where an engine makes rows only there.
#}
{% macro joins_each_of_or_first(condition) %}
    {{- return(adapter.dispatch('joins_each_of_or_first', 'lakefeed')(condition)) -}}
{% endmacro %}


{% macro default__joins_each_of_or_first(condition) %}
    {{- return('') -}}
{% endmacro %}


{# In a select list: all days from the first to the last. #}
{% macro days_between(first, last) %}
    {{- return(adapter.dispatch('days_between', 'lakefeed')(first, last)) -}}
{% endmacro %}


{% macro default__days_between(first, last) %}
    {{- return('cast(unnest(generate_series(' ~ first ~ ', ' ~ last ~ ', interval 1 day)) as date)') -}}
{% endmacro %}


{# The microseconds since 1970 until a moment: a text of it would depend on the engine. #}
{% macro microseconds(moment) %}
    {{- return(adapter.dispatch('microseconds', 'lakefeed')(moment)) -}}
{% endmacro %}


{% macro default__microseconds(moment) %}
    {{- return('epoch_us(' ~ moment ~ ')') -}}
{% endmacro %}


{# The moment this many microseconds after the beginning of 1970. #}
{% macro moment_of(microseconds) %}
    {{- return(adapter.dispatch('moment_of', 'lakefeed')(microseconds)) -}}
{% endmacro %}


{% macro default__moment_of(microseconds) %}
    {{- return('make_timestamptz(' ~ microseconds ~ ')') -}}
{% endmacro %}


{# The value at a path (`$.size`) in a JSON text, as text. #}
{% macro json_text(value, path) %}
    {{- return(adapter.dispatch('json_text', 'lakefeed')(value, path)) -}}
{% endmacro %}


{% macro default__json_text(value, path) %}
    {{- return(value ~ ' ->> ' ~ lakefeed.sql_text(path)) -}}
{% endmacro %}


{# The English name of a day's month. #}
{% macro month_name(day) %}
    {{- return(adapter.dispatch('month_name', 'lakefeed')(day)) -}}
{% endmacro %}


{% macro default__month_name(day) %}
    {{- return('monthname(' ~ day ~ ')') -}}
{% endmacro %}


{# The English name of a day of the week. #}
{% macro weekday_name(day) %}
    {{- return(adapter.dispatch('weekday_name', 'lakefeed')(day)) -}}
{% endmacro %}


{% macro default__weekday_name(day) %}
    {{- return('dayname(' ~ day ~ ')') -}}
{% endmacro %}


{# The number of a day of the week: Monday is 1. #}
{% macro weekday_number(day) %}
    {{- return(adapter.dispatch('weekday_number', 'lakefeed')(day)) -}}
{% endmacro %}


{% macro default__weekday_number(day) %}
    {{- return('cast(isodow(' ~ day ~ ') as integer)') -}}
{% endmacro %}
