{#
    A key as its columns are compared: by their values, or by what `compared_as` has for them, which is
    the same where PostgreSQL holds two values equal that it writes differently, such as 1.0 and 1.00.
    `lakefeed sync` writes that (pipelines/lakefeed/source/inspection/equality.py).

    Args:
        columns: their names.
        compared_as: expressions by name, with `{value}` for the column.
#}
{% macro key_of(columns, compared_as={}) %}
    {%- set compared = [] -%}
    {%- for name in columns -%}
        {%- set form = (compared_as or {}).get(name, '{value}') -%}
        {%- do compared.append(form.replace('{value}', lakefeed.quote(name))) -%}
    {%- endfor -%}
    {{- return(compared | join(', ')) -}}
{% endmacro %}


{# The key of the raw table that the model is made of, as it is compared. #}
{% macro key_of_raw(raw) %}
    {{- return(lakefeed.key_of(raw.key, raw.get('compared_as'))) -}}
{% endmacro %}


{#
    Whether the rows of a model were merged by keys that were compared in another way, as by versions
    that compared texts. Noted of models alone whose keys are compared otherwise than by their values.
#}
{% macro keys_were_compared_otherwise(raw, model_name) %}
    {%- if not raw.get('compared_as') -%}{{- return(false) -}}{%- endif -%}
    {%- set query -%}
        create schema if not exists _lakefeed;
        create table if not exists _lakefeed.compared_keys (model varchar, compared_as varchar);
        select max(compared_as) from _lakefeed.compared_keys where model = '{{ model_name }}'
    {%- endset -%}
    {{- return(run_query(query).columns[0].values()[0] != tojson(raw.compared_as)) -}}
{% endmacro %}


{% macro note_compared_keys(raw, model_name) %}
    {%- if raw.get('compared_as') %}
    create table if not exists _lakefeed.compared_keys (model varchar, compared_as varchar);
    delete from _lakefeed.compared_keys where model = '{{ model_name }}';
    insert into _lakefeed.compared_keys values (
        '{{ model_name }}', {{ lakefeed.sql_text(tojson(raw.compared_as)) }}
    );
    {%- endif %}
{% endmacro %}
