{#
    Gives the model the current columns and types of its raw table, and empties it if it is staged again
    from scratch. The table is recreated, since DuckDB can't alter a table in a transaction that has
    deleted rows from it. Columns that the raw table no longer has are kept.
#}
{% macro fit_model(raw, anew) %}
    {%- set wanted = dict(raw.meta.lakefeed.columns) -%}
    {%- if raw.meta.lakefeed.deletes == 'mark' -%}
        {%- do wanted.update({'_deleted_at': 'timestamptz'}) -%}
    {%- endif -%}
    {%- do wanted.update({'_dlt_load_id': 'varchar', '_staged_batch': 'bigint'}) -%}
    {%- set present = lakefeed.model_state().columns -%}
    {%- set types = lakefeed.build_state().types -%}
    {%- set quoted = lakefeed.quoted(wanted.keys() | list + present.keys() | list) -%}
    {%- set casts = [] -%}
    {%- set fits = namespace(all=true) -%}
    {%- for name, type in wanted.items() -%}
        {%- if present.get(name) != types[type] -%}{%- set fits.all = false -%}{%- endif -%}
        {%- set value = quoted[name] if name in present else 'null' -%}
        {%- do casts.append('cast(' ~ value ~ ' as ' ~ type ~ ') as ' ~ quoted[name]) -%}
    {%- endfor -%}
    {%- for name in present if name not in wanted -%}
        {%- do casts.append(quoted[name]) -%}
    {%- endfor -%}
    {%- if anew or not fits.all -%}
    {%- if not anew -%}{%- do lakefeed.refuse_lossy_casts(present, wanted, this) -%}{%- endif -%}
    create or replace table {{ this }} as
    select {{ casts | join(', ') }} from {{ this }}{{ ' where false' if anew }};
    {%- endif -%}
{% endmacro %}


{#
    Fails if a cast to a new column type would round or lose a value. `lakefeed run` never gets here: it
    reads the whole table if its columns can't be cast.
#}
{% macro refuse_lossy_casts(present, wanted, relation) %}
    {%- for name, is_lost in lakefeed.values_lost(present, wanted).items() -%}
        {%- set lost = 'select count(*) from ' ~ relation ~ ' where ' ~ is_lost -%}
        {%- if run_query(lost).columns[0].values()[0] -%}
            {{- lakefeed.refuse_lossy_cast(name, present[name], wanted[name]) -}}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}


{% macro refuse_lossy_cast(name, from_type, to_type) %}
    {{- exceptions.raise_compiler_error(
        'column ' ~ name ~ ' changed from ' ~ from_type ~ ' to ' ~ (to_type | upper) ~
        ', which would round or lose values; reload the table: lakefeed run --full-refresh'
    ) -}}
{% endmacro %}


{# For each column whose type changed: the condition for values that the cast would damage. #}
{% macro values_lost(present, wanted) %}
    {{- return(adapter.dispatch('values_lost', 'lakefeed')(present, wanted)) -}}
{% endmacro %}


{% macro duckdb__values_lost(present, wanted) %}
    {%- set conditions = {} -%}
    {%- set types = lakefeed.build_state().types -%}
    {%- for name, declared in wanted.items() -%}
        {%- set type = types[declared] -%}
        {%- if present.get(name, type) != type -%}
        {%- set column = lakefeed.quote(name) -%}
        {%- do conditions.update({
            name: column ~ ' is distinct from try_cast(try_cast(' ~ column ~ ' as ' ~ type ~ ') as '
                ~ present[name] ~ ')'
        }) -%}
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
