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
