{#
    A key as an expression to compare by. Columns are compared by their values unless `compared_as` has
    an expression for them: one that is equal for values that PostgreSQL considers equal but writes
    differently, such as 1.0 and 1.00.

    Args:
        columns: the names of the key's columns.
        compared_as: expressions by column name, with `{value}` in place of the column; written by
            `lakefeed sync` (pipelines/lakefeed/source/inspection/equality.py).
        rows: the relation that has the columns; none if nothing else has their names.
#}
{% macro key_of(columns, compared_as={}, rows=none) %}
    {%- set compared = [] -%}
    {%- set of = rows ~ '.' if rows else '' -%}
    {%- for name in columns -%}
        {%- set form = (compared_as or {}).get(name) -%}
        {%- set quoted = of ~ lakefeed.quote(name) -%}
        {%- do compared.append(
            lakefeed.comparison(form).replace('{value}', quoted) if form else quoted
        ) -%}
    {%- endfor -%}
    {{- return(compared | join(', ')) -}}
{% endmacro %}


{# An expression in `compared_as`, which is DuckDB's, as this engine has it. #}
{% macro comparison(form) %}
    {{- return(adapter.dispatch('comparison', 'lakefeed')(form)) -}}
{% endmacro %}


{% macro default__comparison(form) %}
    {{- return(form) -}}
{% endmacro %}


{# The key of a raw table as an expression to compare by. #}
{% macro key_of_raw(raw, rows=none) %}
    {{- return(lakefeed.key_of(raw.key, raw.get('compared_as'), rows)) -}}
{% endmacro %}


{#
    The condition that this key is among those of other rows.

    Args:
        key: expressions, separated by commas.
        others: as many expressions over the other rows.
        rows: the from clause of the other rows, and what follows it.
#}
{% macro among(key, others, rows) %}
    {{- return(adapter.dispatch('among', 'lakefeed')(key, others, rows)) -}}
{% endmacro %}


{% macro default__among(key, others, rows) %}
    {{- return('(' ~ key ~ ') in (select ' ~ others ~ ' ' ~ rows ~ ')') -}}
{% endmacro %}


{#
    Whether this model's rows were merged by a differently compared key, as earlier versions of Lakefeed
    did. Recorded only for models whose keys aren't compared by their plain values.
#}
{% macro key_comparison_changed(raw) %}
    {%- if not raw.get('compared_as') -%}{{- return(false) -}}{%- endif -%}
    {{- return(lakefeed.model_state().compared_as != tojson(raw.compared_as)) -}}
{% endmacro %}


{% macro record_compared_keys(raw, model_name) %}
    {%- if raw.get('compared_as') %}
    create table if not exists _lakefeed.compared_keys (model varchar, compared_as varchar);
    delete from _lakefeed.compared_keys where model = '{{ model_name }}';
    insert into _lakefeed.compared_keys values (
        '{{ model_name }}', {{ lakefeed.sql_text(tojson(raw.compared_as)) }}
    );
    {%- endif %}
{% endmacro %}
