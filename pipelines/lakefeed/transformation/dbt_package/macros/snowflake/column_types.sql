{# Column types on Snowflake (../column_types.sql). `try_cast` takes texts only. #}

{% macro snowflake__values_lost(present, wanted, names, forms) %}
    {%- set conditions = {} -%}
    {%- set types = lakefeed.build_state().types -%}
    {%- for name, declared in wanted.items() -%}
        {%- set type = types[declared] -%}
        {%- if present.get(name, type) != type -%}
        {%- set column = lakefeed.quote(name) -%}
        {%- do conditions.update({
            name: column ~ ' is distinct from try_cast(to_varchar(try_cast(to_varchar(' ~ column ~ ') as ' ~ type
                ~ ')) as ' ~ present[name] ~ ')'
        }) -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(conditions) -}}
{% endmacro %}


{% macro snowflake__unfit_loads(raw, loads) %}
    {{- return(lakefeed.unfit_loads_by_view(raw, loads)) -}}
{% endmacro %}
