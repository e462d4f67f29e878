{# Column types where models are built by single statements (../column_types.sql). #}

{#
    Whether the model has the current columns and types of its raw table, and the select lists that give
    them to its own rows (`kept`) and to rows of its query (`new`). Columns that the raw table no longer
    has are kept. A merge would round values into a narrower type without an error, so that types are
    fitted before.
#}
{% macro fitted_columns(raw) %}
    {%- set wanted = lakefeed.staging_columns(raw) -%}
    {%- set present = lakefeed.model_state().columns -%}
    {%- set types = lakefeed.build_state().types -%}
    {%- set quoted = lakefeed.quoted(wanted.keys() | list + present.keys() | list) -%}
    {%- set fits = namespace(all=true) -%}
    {%- set kept = [] -%}
    {%- set new = [] -%}
    {%- for name, type in wanted.items() -%}
        {%- if present.get(name) != types[type] -%}{%- set fits.all = false -%}{%- endif -%}
        {%- set value = quoted[name] if name in present else 'null' -%}
        {%- do kept.append('cast(' ~ value ~ ' as ' ~ types[type] ~ ') as ' ~ quoted[name]) -%}
        {%- do new.append(quoted[name]) -%}
    {%- endfor -%}
    {%- for name, type in present.items() if name not in wanted -%}
        {%- do kept.append(quoted[name]) -%}
        {%- do new.append('cast(null as ' ~ type ~ ') as ' ~ quoted[name]) -%}
    {%- endfor -%}
    {{- return({'fits': fits.all, 'kept': kept, 'new': new, 'present': present, 'wanted': wanted}) -}}
{% endmacro %}


{# The loads with a value that the current column types can't hold (../commit_log.sql), by `open_raw`. #}
{% macro unfit_loads_by_view(raw, loads) %}
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
