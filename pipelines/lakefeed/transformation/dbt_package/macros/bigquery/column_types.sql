{# Column types on BigQuery (../column_types.sql). #}

{% macro bigquery__values_lost(present, wanted, names, forms) %}
    {%- set conditions = {} -%}
    {%- set types = lakefeed.build_state().types -%}
    {%- for name, declared in wanted.items() -%}
        {%- set type = types[declared] -%}
        {%- if present.get(name, type) != type -%}
        {%- set column = lakefeed.quote(name) -%}
        {%- do conditions.update({
            name: column ~ ' is distinct from safe_cast(safe_cast(' ~ column ~ ' as ' ~ type ~ ') as '
                ~ present[name] ~ ')'
        }) -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(conditions) -}}
{% endmacro %}


{% macro bigquery__unfit_loads(raw, loads) %}
    {{- return(lakefeed.unfit_loads_by_view(raw, loads)) -}}
{% endmacro %}
