{#
    A staging model: the committed rows of a raw table, one row per key, merged incrementally.

    Promises: in whatever order loads arrive, staging has for each key the row from the newest source
    snapshot, then with the newest cursor, or the last change in the log. Each load is read once, unless
    the model is staged again from scratch. Rows and the record of their loads are written in one
    transaction.

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
        compared_as=raw.get('compared_as'),
        log=lakefeed.columns_of_log(raw),
        watches_deletes=raw.deletes != 'ignore'
    ) }}
{%- endmacro %}


{#
    The script that builds a staging model: opens the rows of the loads that it hasn't staged as the
    temporary view `lakefeed_new_rows`, which the model's query reads, writes the newest of them, deletes
    what they replace, and records the loads as staged.
#}
{% macro staging_script(query, extends) %}
    {%- set raw = lakefeed.raw_table_of(model) -%}
    {%- set is_outdated = extends and (
        lakefeed.key_comparison_changed(raw.meta.lakefeed) or lakefeed.read_otherwise(raw.meta.lakefeed)
    ) -%}
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
    {{ lakefeed.record_declared_columns(raw.meta.lakefeed, this.identifier) }}
    {{ lakefeed.record_staged_loads() }}
{% endmacro %}


{#
    Opens these loads for the model that is being built: the rows of the counting ones, as many as their
    manifests count, and the records of all of them, which are written once the model is built.
#}
{% macro open_loads(raw, loads, counting, extends) -%}
    create schema if not exists _lakefeed;
    create table if not exists _lakefeed.format as select '1.0' as version;
    create table if not exists _lakefeed.staged_loads (
        model varchar, load_id varchar, snapshot_at varchar, batch bigint
    );
    {%- set counted = counting | map(attribute='load_id') | list -%}
    {{ lakefeed.create_batches() }}
    create or replace temp table lakefeed_new_loads as
        select
            load_id::varchar as load_id,
            snapshot_at::varchar as snapshot_at,
            supersedes::boolean as supersedes,
            position,
            rows::bigint as rows,
            deleted::bigint as deleted
        from (values
            {% for load in loads -%}
            (
                '{{ load.load_id }}', '{{ load.snapshot_at }}', {{ load.supersedes }}, {{ loop.index }},
                {{ load.rows ~ ', ' ~ load.deleted if load.load_id in counted else 'null, null' }}
            ),
            {% endfor -%}
            (null, null, null, 0, null, null)
        ) as loads (load_id, snapshot_at, supersedes, position, rows, deleted)
        where load_id is not null;
    {{ lakefeed.next_batch() }}
    create or replace temp view lakefeed_new_rows as {{ lakefeed.new_rows(raw, counting) }};
    {{ lakefeed.refuse_missing_rows(raw) if counting }}
    {% set former = lakefeed.former_log(raw, counting) if counting -%}
    {% if former -%}
    create or replace temp view lakefeed_new_rows as
    {{ lakefeed.last_of_each_load(former, lakefeed.new_rows(former, counting)) }};
    {% endif -%}
    {% if not extends -%}
    delete from _lakefeed.staged_loads where model = '{{ this.identifier }}';
    {% endif -%}
{% endmacro %}


{#
    Fails if not as many rows of each load are read as its manifest counts, so that files that were
    emptied or replaced never pass for a load without rows. A manifest counts the tombstones of rows that
    its load found deleted; a full refresh repeats earlier ones.
#}
{% macro refuse_missing_rows(raw) -%}
    {%- set remedy = '; put the files in ' ~ lakefeed.raw_folder(raw)
        ~ ' back, or reload the table: lakefeed run --full-refresh' -%}
    {%- set watches_deletes = raw.meta.lakefeed.deletes != 'ignore' %}
    with

    files as (
        select
            _load_position as position,
            count(*){{ ' filter (_deleted_at is null)' if watches_deletes }} as rows,
            {{ 'count(_deleted_at)' if watches_deletes else 'null' }} as deleted
        from lakefeed_new_rows
        group by _load_position
    ),

    compared as (
        select
            loads.load_id,
            loads.rows,
            coalesce(files.rows, 0) as rows_read,
            {{ 'loads.deleted' if watches_deletes else '0' }} as deleted,
            coalesce(files.deleted, 0) as deleted_read
        from lakefeed_new_loads as loads
        left join files using (position)
        where loads.rows is not null
    )

    select error(
        {{ lakefeed.sql_text(this.identifier ~ ': load ') }} || load_id
        || ' isn''t whole (rows in its manifest: ' || (rows + deleted) || ', rows read: '
        || (rows_read + deleted_read) || ')'
        || {{ lakefeed.sql_text(remedy) }}
    )
    from compared
    where rows_read <> rows or deleted_read < deleted;
{%- endmacro %}


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
        {%- for name, type in lakefeed.columns_of_log(raw.meta.lakefeed).items() %}
        cast(null as {{ type }}) as {{ name }},
        {%- endfor %}
        cast(null as varchar) as _dlt_load_id,
        cast(0 as bigint) as _load_position
    where false
    {%- else -%}
    {%- set rows = lakefeed.rows_of_loads(loads) -%}
    {%- set raw_types = lakefeed.described('from ' ~ rows) -%}
    {%- set names = lakefeed.read_from(raw.meta.lakefeed) -%}
    {%- set forms = lakefeed.forms_of(raw.meta.lakefeed) -%}
    {%- do lakefeed.refuse_lossy_casts(raw_types, columns, rows, names, forms, raw.meta.lakefeed.key) -%}
    {%- set quoted = lakefeed.quoted(columns.keys() | list + names.values() | list) -%}
    {%- set deleted_at = 'files._deleted_at' if '_deleted_at' in raw_types else 'null::timestamptz' -%}
    select
        {% for name, type in columns.items() -%}
        {%- set read = names.get(name, name) %}
        {%- set value = 'files.' ~ quoted[read] if read in raw_types else 'null' -%}
        {%- if name in forms and raw_types.get(read) == 'VARCHAR' -%}
            {%- set value = forms[name].value.replace('{value}', value) -%}
        {%- endif %}
        cast({{ value }} as {{ type }})
            as {{ quoted[name] }},
        {% endfor -%}
        {{ deleted_at ~ ' as _deleted_at,' if watches_deletes }}
        {%- for name, type in lakefeed.columns_of_log(raw.meta.lakefeed).items() %}
        cast({{ 'files.' ~ name if name in raw_types else 'null' }} as {{ type }}) as {{ name }},
        {%- endfor %}
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
            {# A copy on this machine of a file in an object store has a path of its own. #}
            {%- set is_copy = file.startswith('/') -%}
            {%- set path = file.replace("'", "''") if is_copy else named ~ '/' ~ file -%}
            {%- set pattern = lakefeed.as_pattern(file).replace("'", "''") if is_copy else read ~ '/' ~ file -%}
            {%- do pairs.append("('" ~ path ~ "', '" ~ load.load_id ~ "')") -%}
            {%- do paths.update({"'" ~ pattern ~ "'": none}) -%}
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
