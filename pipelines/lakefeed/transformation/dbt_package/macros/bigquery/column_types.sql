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
    {%- set changed = adapter.open_raw('lakefeed_raw_rows', loads, raw.meta.lakefeed.columns) -%}
    {%- set unfit = ['_lakefeed_lost is not null'] if changed else [] -%}
    {%- for name in raw.meta.lakefeed.key -%}
        {%- do unfit.append(lakefeed.quote(name) ~ ' is null') -%}
    {%- endfor -%}
    {%- if not unfit -%}{{- return([]) -}}{%- endif -%}
    {%- set found = [] -%}
    {%- set query = 'select distinct _dlt_load_id from lakefeed_raw_rows where ' ~ unfit | join(' or ') -%}
    {%- for row in adapter.rows(query) -%}{%- do found.append(row[0]) -%}{%- endfor -%}
    {{- return(found) -}}
{% endmacro %}
