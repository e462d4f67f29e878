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


{#
    The names in raw by which a model's columns are read: of those that are named otherwise, and of those
    that have only a value of a column (`of`, from `flatten`).
#}
{% macro read_from(raw) %}
    {%- set names = lakefeed.names_in_raw(raw.get('declared', {})) -%}
    {%- for name, form in raw.get('forms', {}).items() if form.of -%}
        {%- do names.update({name: form.of}) -%}
    {%- endfor -%}
    {{- return(names) -}}
{% endmacro %}


{#
    How columns are read that are PostgreSQL's text in raw, by their name in models: `value` and `inexact`
    are expressions over `{value}`. Columns that have only a value of a column share those of their type,
    which have the names of parts in them, and `{at}` for the place of the value (source/json_value.py).
#}
{% macro forms_of(raw) %}
    {%- set forms = {} -%}
    {%- for name, form in raw.get('forms', {}).items() -%}
        {%- if form.get('as') -%}
            {%- set reading = raw.readings.kinds[form.get('as')] -%}
            {%- do forms.update({name: {
                'of': form.of,
                'value': lakefeed.in_full(reading.value, raw.readings.parts, form.at),
                'inexact': lakefeed.in_full(reading.inexact, raw.readings.parts, form.at),
            }}) -%}
        {%- else -%}
            {%- do forms.update({name: form}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(forms) -}}
{% endmacro %}


{% macro in_full(text, parts, at) %}
    {%- set whole = namespace(text=text) -%}
    {%- for name, part in parts.items() -%}{%- set whole.text = whole.text.replace(name, part) -%}{%- endfor -%}
    {{- return(whole.text.replace('{at}', at)) -}}
{% endmacro %}


{# How whole columns are read that are PostgreSQL's text: in a model, only these may still be text. #}
{% macro forms_of_whole(raw) %}
    {%- set forms = {} -%}
    {%- for name, form in raw.get('forms', {}).items() if not form.of -%}
        {%- do forms.update({name: form}) -%}
    {%- endfor -%}
    {{- return(forms) -}}
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


{#
    Whether columns were read from raw in another way when the model was built: as other types, or
    flattened otherwise.
#}
{% macro read_otherwise(raw) %}
    {%- set now = raw.get('declared', {}) -%}
    {%- set before = fromjson(lakefeed.model_state().declared or '{}') -%}
    {%- for column in now.keys() | list + before.keys() | list -%}
        {%- set this_way, that_way = now.get(column, {}), before.get(column, {}) -%}
        {%- set is_flattened = this_way.get('flatten') or that_way.get('flatten') -%}
        {%- for setting in ['type', 'flatten'] + (['name'] if is_flattened else []) -%}
            {%- if this_way.get(setting) != that_way.get(setting) -%}
                {{- return(true) -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{- return(false) -}}
{% endmacro %}


{# Whether a column had a value of another when the model was built, to tell it from a source's column. #}
{% macro was_flattened(name) %}
    {%- for column, settings in fromjson(lakefeed.model_state().declared or '{}').items() -%}
        {%- if settings.get('flatten') and name.startswith((settings.name or column) ~ '__') -%}
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
