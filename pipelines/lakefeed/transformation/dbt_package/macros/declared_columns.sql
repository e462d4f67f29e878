{#
    What `sources.yaml` says about columns in staging, such as `columns: {"Full Name": {name: full_name}}`.
    Raw keeps the source's names, since its files are never rewritten; models over raw rename what they
    read. So another name needs no other rows in raw. `_lakefeed.declared_columns` records what a model was
    built with.
#}

{# The names in raw of columns that are named otherwise in models, by their name there. #}
{% macro names_in_raw(declared) %}
    {%- set names = {} -%}
    {%- for column, settings in declared.items() if settings.name -%}
        {%- do names.update({settings.name: column}) -%}
    {%- endfor -%}
    {{- return(names) -}}
{% endmacro %}


{# For each column that the model gets: its present name there; none if it is new. #}
{% macro named_before(raw, wanted, present) %}
    {%- set recorded = lakefeed.names_in_raw(fromjson(lakefeed.model_state().declared or '{}')) -%}
    {%- set names = lakefeed.names_in_raw(raw.get('declared', {})) -%}
    {%- set by_name_in_raw = {} -%}
    {%- for name in present -%}{%- do by_name_in_raw.update({recorded.get(name, name): name}) -%}{%- endfor -%}
    {%- set before = {} -%}
    {%- for name in wanted -%}
        {%- do before.update({name: by_name_in_raw.get(names.get(name, name))}) -%}
    {%- endfor -%}
    {{- return(before) -}}
{% endmacro %}


{# Whether columns were read from raw in another way when the model was built: as other types. #}
{% macro read_otherwise(raw) %}
    {%- set now = raw.get('declared', {}) -%}
    {%- set before = fromjson(lakefeed.model_state().declared or '{}') -%}
    {%- for column in now.keys() | list + before.keys() | list -%}
        {%- if now.get(column, {}).get('type') != before.get(column, {}).get('type') -%}
            {{- return(true) -}}
        {%- endif -%}
    {%- endfor -%}
    {{- return(false) -}}
{% endmacro %}


{% macro record_declared_columns(raw, model_name) %}
    {%- if raw.get('declared') or lakefeed.model_state().declared %}
    create table if not exists _lakefeed.declared_columns (model varchar, declared varchar);
    delete from _lakefeed.declared_columns where model = '{{ model_name }}';
    {%- if raw.get('declared') %}
    insert into _lakefeed.declared_columns values (
        '{{ model_name }}', {{ lakefeed.sql_text(tojson(raw.declared)) }}
    );
    {%- endif %}
    {%- endif %}
{% endmacro %}
