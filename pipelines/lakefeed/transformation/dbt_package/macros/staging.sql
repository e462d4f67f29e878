{#
    A staging model: the committed rows of a raw table, one row per key, merged incrementally.

    Promises: in whatever order loads arrive, staging has for each key the row from the newest source
    snapshot, then with the newest cursor. Each load is read once, unless the model is staged again from
    scratch. Rows and the record of their loads are written in one transaction.

    Rows deleted in the source (tombstones, see
    pipelines/lakefeed/loading/extract/delete_detection.py) are removed with `deletes: remove`, get a
    `_deleted_at` with `mark`, and stay with `ignore`.

    The raw table is described by its dbt source (`meta.lakefeed`, written by `lakefeed sync`).
#}
{% macro staging(raw_table, unique_key=none, cursor=none) %}
    {{- config(materialized='lakefeed_staging') -}}
    {%- set raw = lakefeed.raw_table_of(model).meta.lakefeed if execute else {} -%}
    {{ lakefeed.newest_of(
        rows='lakefeed_new_rows',
        batch='(select batch from lakefeed_new_loads_batch)',
        key=unique_key,
        cursor=cursor,
        removes_deleted=raw.deletes == 'remove',
        compared_as=raw.get('compared_as')
    ) }}
{%- endmacro %}


{#
    The script that builds a staging model: opens the rows of the loads that it hasn't staged as the
    temporary view `lakefeed_new_rows`, which the model's query reads, writes the newest of them, deletes
    what they replace, and records the loads as staged.
#}
{% macro staging_script(query, extends) %}
    {%- set raw = lakefeed.raw_table_of(model) -%}
    {%- set is_outdated = extends and lakefeed.key_comparison_changed(raw.meta.lakefeed) -%}
    {%- set new = lakefeed.loads_to_stage(raw, this.identifier if extends else none, is_outdated) -%}
    {{ lakefeed.open_loads(raw, new.loads, new.counting, extends) }}
    {% if extends -%}
    {{ lakefeed.fit_model(raw, new.anew) }}
    {%- endif %}
    {{ lakefeed.write_rows(query, extends) }}
    {% if extends -%}
    {{ lakefeed.delete_replaced_rows(raw.meta.lakefeed) }}
    {%- endif %}
    {{ lakefeed.record_compared_keys(raw.meta.lakefeed, this.identifier) }}
    {{ lakefeed.record_staged_loads() }}
{% endmacro %}


{#
    Opens these loads for the model that is being built: the rows of the counting ones, and the records
    of all of them, which are written once the model is built.
#}
{% macro open_loads(raw, loads, counting, extends) -%}
    create schema if not exists _lakefeed;
    create table if not exists _lakefeed.format as select '1.0' as version;
    create table if not exists _lakefeed.staged_loads (
        model varchar, load_id varchar, snapshot_at varchar, batch bigint
    );
    create sequence if not exists _lakefeed.batches;
    create or replace temp table lakefeed_new_loads as
        select
            load_id::varchar as load_id,
            snapshot_at::varchar as snapshot_at,
            supersedes::boolean as supersedes,
            position
        from (values
            {% for load in loads -%}
            ('{{ load.load_id }}', '{{ load.snapshot_at }}', {{ load.supersedes }}, {{ loop.index }}),
            {% endfor -%}
            (null, null, null, 0)
        ) as loads (load_id, snapshot_at, supersedes, position)
        where load_id is not null;
    create or replace temp table lakefeed_new_loads_batch as
        select nextval('_lakefeed.batches') as batch;
    create or replace temp view lakefeed_new_rows as {{ lakefeed.new_rows(raw, counting) }};
    {% if not extends -%}
    delete from _lakefeed.staged_loads where model = '{{ this.identifier }}';
    {% endif -%}
{% endmacro %}


{# Deletes the rows that have a newer version or a tombstone among the new rows. #}
{% macro delete_replaced_rows(raw) -%}
    {%- if raw.key -%}
    delete from {{ this }}
    where
        _staged_batch <> (select batch from lakefeed_new_loads_batch)
        and ({{ lakefeed.key_of_raw(raw) }}) in (
            select ({{ lakefeed.key_of_raw(raw) }}) from lakefeed_new_rows
        );
    {%- endif -%}
{%- endmacro %}


{% macro record_staged_loads() -%}
    insert into _lakefeed.staged_loads
    select '{{ this.identifier }}', load_id, snapshot_at, batch
    from lakefeed_new_loads cross join lakefeed_new_loads_batch
    where load_id not in (
        select load_id from _lakefeed.staged_loads where model = '{{ this.identifier }}'
    );
{% endmacro %}


{# The select over the files of these loads; typed but empty if there are none. #}
{% macro new_rows(raw, loads) %}
    {%- set columns = raw.meta.lakefeed.columns -%}
    {%- set watches_deletes = raw.meta.lakefeed.deletes != 'ignore' -%}
    {%- if not loads -%}
    select
        {% for name, type in columns.items() -%}
        cast(null as {{ type }}) as {{ lakefeed.quote(name) }},
        {% endfor -%}
        {{ 'null::timestamptz as _deleted_at,' if watches_deletes }}
        cast(null as varchar) as _dlt_load_id,
        cast(0 as bigint) as _load_position
    where false
    {%- else -%}
    {%- set rows = lakefeed.rows_of_loads(loads) -%}
    {%- set raw_types = lakefeed.described('from ' ~ rows) -%}
    {%- do lakefeed.refuse_lossy_casts(raw_types, columns, rows) -%}
    {%- set quoted = lakefeed.quoted(columns) -%}
    {%- set deleted_at = 'files._deleted_at' if '_deleted_at' in raw_types else 'null::timestamptz' -%}
    select
        {% for name, type in columns.items() -%}
        cast({{ 'files.' ~ quoted[name] if name in raw_types else 'null' }} as {{ type }})
            as {{ quoted[name] }},
        {% endfor -%}
        {{ deleted_at ~ ' as _deleted_at,' if watches_deletes }}
        files._dlt_load_id,
        loads.position as _load_position
    from {{ rows }} as files
    join lakefeed_new_loads as loads on loads.load_id = files._dlt_load_id
    {%- if not watches_deletes %}
    where {{ deleted_at }} is null
    {%- endif -%}
    {%- endif -%}
{% endmacro %}


{#
    The rows of these loads, as a from-clause item. A compact file, written by `lakefeed prune`, has rows
    of several loads: of its rows, only those count whose load lists the file.
#}
{% macro rows_of_loads(loads) %}
    {%- set state = namespace(is_compact=false) -%}
    {%- set paths = {} -%}
    {%- set pairs = [] -%}
    {# All loads belong to one table, so they share its folder. #}
    {%- set folder = loads[0].folder if loads else '' -%}
    {%- set named = folder.replace("'", "''") -%}
    {%- set read = lakefeed.as_pattern(folder).replace("'", "''") -%}
    {%- for load in loads -%}
        {%- for file in load.files -%}
            {%- do pairs.append("('" ~ named ~ '/' ~ file ~ "', '" ~ load.load_id ~ "')") -%}
            {%- do paths.update({"'" ~ read ~ '/' ~ file ~ "'": none}) -%}
            {%- if '.compact-' in file -%}{%- set state.is_compact = true -%}{%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set files = '[' ~ paths | join(', ') ~ '], union_by_name = true, hive_partitioning = false' -%}
    {%- if not state.is_compact -%}
        {{- return('read_parquet(' ~ files ~ ')') -}}
    {%- endif -%}
    {%- set rows -%}
        (
            select * exclude (_lakefeed_file)
            from read_parquet({{ files }}, filename = '_lakefeed_file')
            semi join (values {{ pairs | join(', ') }}) as named (_lakefeed_file, _dlt_load_id)
                using (_lakefeed_file, _dlt_load_id)
        )
    {%- endset -%}
    {{- return(rows) -}}
{% endmacro %}


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
            {{- exceptions.raise_compiler_error(
                'column ' ~ name ~ ' changed from ' ~ present[name] ~ ' to ' ~ (wanted[name] | upper) ~
                ', which would round or lose values; reload the table: lakefeed run --full-refresh'
            ) -}}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}


{# For each column whose type changed: the condition for values that the cast would damage. #}
{% macro values_lost(present, wanted) %}
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


{# The only dbt source that a model over raw reads. #}
{% macro raw_table_of(model_node) %}
    {%- set ids = model_node.depends_on.nodes | select('string') | list -%}
    {%- for id in ids if id.startswith('source.') -%}
        {{- return(graph.sources[id]) -}}
    {%- endfor -%}
    {{- exceptions.raise_compiler_error(
        model_node.name ~ ' reads no raw table; pass source(...) to its macro'
    ) -}}
{% endmacro %}


{# A name as an SQL identifier. `adapter.quote` doesn't escape quotes within the name. #}
{% macro quote(name) %}
    {{- return('"' ~ name.replace('"', '""') ~ '"') -}}
{% endmacro %}


{# These names as SQL identifiers, by name: one call for many, since each call of a macro costs time. #}
{% macro quoted(names) %}
    {%- set quoted = {} -%}
    {%- for name in names -%}
        {%- do quoted.update({name: '"' ~ name.replace('"', '""') ~ '"'}) -%}
    {%- endfor -%}
    {{- return(quoted) -}}
{% endmacro %}


{% macro quoted_list(names) %}
    {{- return(lakefeed.quoted([names] if names is string else names).values() | join(', ')) -}}
{% endmacro %}
