{#
    Gives the model the current columns and types of its raw table, and empties it if it is staged again
    from scratch. The table is recreated, since DuckDB can't alter a table in a transaction that has
    deleted rows from it. Columns that the raw table no longer has are kept. Columns that have another
    name than before are renamed; their names in raw tell which they are.
#}
{% macro fit_model(raw, anew) %}
    {%- set wanted = lakefeed.staging_columns(raw) -%}
    {%- set present = lakefeed.model_state().columns -%}
    {%- set types = lakefeed.build_state().types -%}
    {%- set quoted = lakefeed.quoted(wanted.keys() | list + present.keys() | list) -%}
    {%- set named_before = lakefeed.named_before(raw.meta.lakefeed, wanted, present) -%}
    {%- set forms = lakefeed.forms_of_whole(raw.meta.lakefeed) if not anew else {} -%}
    {%- set casts = [] -%}
    {%- set taken = wanted.keys() | map('lower') | list -%}
    {%- set fits = namespace(all=true) -%}
    {%- for name, type in wanted.items() -%}
        {%- set before = named_before[name] -%}
        {%- if before != name or present[before] != types[type] -%}{%- set fits.all = false -%}{%- endif -%}
        {%- set value = 'null' if before is none or anew else quoted[before] -%}
        {%- if before is not none and present[before] == 'VARCHAR' and name in forms -%}
            {%- set value = forms[name].value.replace('{value}', value) -%}
        {%- endif -%}
        {%- do casts.append('cast(' ~ value ~ ' as ' ~ type ~ ') as ' ~ quoted[name]) -%}
    {%- endfor -%}
    {%- for name in present if name not in named_before.values() and name | lower not in taken
        and not (anew and lakefeed.was_flattened(name)) -%}
        {%- do casts.append(quoted[name]) -%}
    {%- endfor -%}
    {%- if anew or not fits.all -%}
    {%- if not anew -%}
        {%- do lakefeed.refuse_lossy_casts(present, wanted, this, named_before, forms, raw.meta.lakefeed.key) -%}
    {%- endif -%}
    create or replace table {{ this }} as
    select {{ casts | join(', ') }} from {{ this }}{{ ' where false' if anew }};
    {%- endif -%}
{% endmacro %}


{# The types of all columns that a staging model over this raw table has, by name. #}
{% macro staging_columns(raw) %}
    {%- set columns = dict(raw.meta.lakefeed.columns) -%}
    {%- if raw.meta.lakefeed.deletes == 'mark' -%}
        {%- do columns.update({'_deleted_at': 'timestamptz'}) -%}
    {%- endif -%}
    {%- do columns.update({'_dlt_load_id': 'varchar', '_staged_batch': 'bigint'}) -%}
    {{- return(columns) -}}
{% endmacro %}


{#
    Fails if a cast to a new column type would round or lose a value. `lakefeed run` never gets here: it
    reads the whole table if its columns can't be cast. Of texts that have no exact value in staging, it
    names the row.
#}
{% macro refuse_lossy_casts(present, wanted, relation, names, forms, key) %}
    {%- for name, is_lost in lakefeed.values_lost(present, wanted, names, forms).items() -%}
        {%- if name in forms and present[names.get(name, name)] == 'VARCHAR' -%}
            {%- set remedy = '; fix it in the source, or keep PostgreSQL\'s text (`type: text`)' if not forms[name].of
                else '; declare a type that holds it (`flatten` of `' ~ forms[name].of
                ~ '`), or fix it in the source and run: lakefeed run --full-refresh' -%}
            {%- do lakefeed.refuse_inexact(name, wanted[name], is_lost, relation, names, key, remedy) -%}
        {%- else -%}
        {%- set lost = 'select count(*) from ' ~ relation ~ ' where ' ~ is_lost -%}
        {%- if run_query(lost).columns[0].values()[0] -%}
            {{- lakefeed.refuse_lossy_cast(name, present[names.get(name, name)], wanted[name]) -}}
        {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}


{% macro refuse_lossy_cast(name, from_type, to_type) %}
    {{- exceptions.raise_compiler_error(
        'column ' ~ name ~ ' changed from ' ~ from_type ~ ' to ' ~ (to_type | upper) ~
        ', which would round or lose values; reload the table: lakefeed run --full-refresh'
    ) -}}
{% endmacro %}


{# Fails with the key of a row whose text has no exact value of its type. #}
{% macro refuse_inexact(name, type, is_lost, relation, names, key, remedy) %}
    {%- set shown = ["''"] -%}
    {%- for column in key -%}
        {%- do shown.append(
            lakefeed.sql_text(column ~ ' = ') ~ ' || ' ~ lakefeed.quote(names.get(column, column)) ~ '::varchar'
        ) -%}
    {%- endfor -%}
    {%- set query -%}
        select concat_ws(', ', {{ (shown[1:] or shown) | join(', ') }}) from {{ relation }} where {{ is_lost }} limit 1
    {%- endset -%}
    {%- for row in run_query(query).rows -%}
        {{- exceptions.raise_compiler_error(
            'column ' ~ name ~ ' holds a value that isn\'t exact as ' ~ (type | upper)
            ~ (' in the row with ' ~ row[0] if row[0] else '')
            ~ remedy
        ) -}}
    {%- endfor -%}
{% endmacro %}


{#
    For each column whose type changed: the condition for values that the cast would damage.

    Args:
        present: the types of the columns to cast, by name.
        wanted: the types to cast to, by the name that the column gets.
        names: the names in `present` of columns that get another one.
        forms: how columns are read that are PostgreSQL's text (source/staged_form.py).
#}
{% macro values_lost(present, wanted, names={}, forms={}) %}
    {{- return(adapter.dispatch('values_lost', 'lakefeed')(present, wanted, names, forms)) -}}
{% endmacro %}


{% macro duckdb__values_lost(present, wanted, names, forms) %}
    {%- set conditions = {} -%}
    {%- set types = lakefeed.build_state().types -%}
    {%- for name, declared in wanted.items() -%}
        {%- set type = types[declared] -%}
        {%- set before = names.get(name, name) -%}
        {%- set is_text = name in forms and present.get(before) == 'VARCHAR' -%}
        {%- if is_text or present.get(before, type) != type -%}
        {%- set column = lakefeed.quote(before) -%}
        {%- if is_text -%}
        {%- do conditions.update({name: forms[name].inexact.replace('{value}', column)}) -%}
        {%- else -%}
        {%- do conditions.update({
            name: column ~ ' is distinct from try_cast(try_cast(' ~ column ~ ' as ' ~ type ~ ') as '
                ~ present[before] ~ ')'
        }) -%}
        {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(conditions) -}}
{% endmacro %}


{# DuckDB's type of each column of a query, by name. #}
{% macro described(query) %}
    {%- set found = {} -%}
    {%- for row in run_query('describe ' ~ query).rows -%}
        {%- do found.update({row[0]: row[1]}) -%}
    {%- endfor -%}
    {{- return(found) -}}
{% endmacro %}
