{#
    One staging model: the committed rows of one raw table, one row per key, merged incrementally.

    Promises: staging holds, for each key, the row from the newest source snapshot, then with the
    newest cursor. A load is read once, whatever order loads arrive in. Rows, and the note of which
    loads they came from, are written in one transaction.

    The raw table is described by its dbt source (`meta.lakefeed`, written by `lakefeed sync`).
#}
{% macro staging(raw_table, unique_key=none, cursor=none) %}
    {{- config(
        materialized='incremental',
        incremental_strategy='delete+insert' if unique_key else 'append',
        unique_key=lakefeed.quoted(unique_key),
        on_schema_change='append_new_columns',
        pre_hook="{{ lakefeed.open_new_loads() }}",
        post_hook="{{ lakefeed.close_new_loads() }}"
    ) -}}
    with

    new_rows as (

        select * from lakefeed_new_rows

    ),

    {%- if unique_key %}

    newest_per_key as (

        select *
        from new_rows
        qualify row_number() over (
            partition by {{ lakefeed.quoted_list(unique_key) }}
            order by _load_position desc
            {%- if cursor %}, {{ lakefeed.quote(cursor) }} desc nulls last{% endif %}
        ) = 1

    ),
    {%- endif %}

    staged as (

        select
            * exclude (_load_position),
            (select batch from lakefeed_new_loads_batch) as _staged_batch
        from {{ 'newest_per_key' if unique_key else 'new_rows' }}

    )

    select * from staged
{%- endmacro %}


{#
    Pre-hook: notes which committed loads this model has not staged, and opens their rows as the
    temporary view `lakefeed_new_rows`. A load that supersedes empties the model first.
#}
{% macro open_new_loads() %}
    {%- if not execute %}{{ return('select 1') }}{% endif -%}
    {%- set raw = lakefeed.raw_table_of(model) -%}
    {%- set staged = lakefeed.staged_loads(this) if is_incremental() else {} -%}
    {%- set loads = lakefeed.loads_to_stage(raw, staged) -%}
    {%- set state = namespace(newest_first=loads, replace=false) -%}
    {%- if loads and loads[0].supersedes -%}{%- set state.replace = is_incremental() -%}{%- endif -%}
    create schema if not exists _lakefeed;
    create table if not exists _lakefeed.staged_loads (
        model varchar, load_id varchar, snapshot_at varchar, batch bigint
    );
    create sequence if not exists _lakefeed.batches;
    create or replace temp table lakefeed_new_loads as
        select * from (values
            {% for load in loads -%}
            ('{{ load.load_id }}', '{{ load.snapshot_at }}', {{ loop.index }}),
            {% endfor -%}
            (null, null, 0)
        ) as loads (load_id, snapshot_at, position)
        where load_id is not null;
    create or replace temp table lakefeed_new_loads_batch as
        select nextval('_lakefeed.batches') as batch;
    create or replace temp view lakefeed_new_rows as {{ lakefeed.new_rows(raw, loads, staged) }};
    {% if state.replace -%}
    delete from {{ this }};
    {% endif -%}
    {% if state.replace or not is_incremental() -%}
    delete from _lakefeed.staged_loads where model = '{{ this.identifier }}';
    {% endif -%}
{% endmacro %}


{# Post-hook: notes the loads as staged, in the transaction that wrote their rows. #}
{% macro close_new_loads() %}
    {%- if not execute %}{{ return('select 1') }}{% endif -%}
    insert into _lakefeed.staged_loads
    select '{{ this.identifier }}', load_id, snapshot_at, batch
    from lakefeed_new_loads cross join lakefeed_new_loads_batch;
{% endmacro %}


{# The select over the files of these loads; typed and empty where there are none. #}
{% macro new_rows(raw, loads, staged) %}
    {%- set columns = raw.meta.lakefeed.columns -%}
    {%- if not loads -%}
    select
        {% for name, type in columns.items() -%}
        cast(null as {{ type }}) as {{ lakefeed.quote(name) }},
        {% endfor -%}
        cast(null as varchar) as _dlt_load_id,
        cast(0 as bigint) as _load_position
    where false
    {%- else -%}
    {%- set files = [] -%}
    {%- for load in loads -%}
        {%- for file in load.files -%}{%- do files.append(load.folder ~ '/' ~ file) -%}{%- endfor -%}
    {%- endfor -%}
    {%- set held = lakefeed.columns_of_files(files) -%}
    select
        {% for name, type in columns.items() -%}
        cast({{ 'files.' ~ lakefeed.quote(name) if name | lower in held else 'null' }} as {{ type }})
            as {{ lakefeed.quote(name) }},
        {% endfor -%}
        files._dlt_load_id,
        loads.position as _load_position
    from {{ lakefeed.read_files(files) }} as files
    join lakefeed_new_loads as loads on loads.load_id = files._dlt_load_id
    {%- set key = raw.meta.lakefeed.key -%}
    {%- set older = lakefeed.staged_after(loads, staged) -%}
    {%- if is_incremental() and key and older %}
    -- A load that arrives late loses to what a newer snapshot has already put here.
    where not exists (
        select 1 from {{ this }} as present
        join _lakefeed.staged_loads as source_load
            on source_load.load_id = present._dlt_load_id
            and source_load.model = '{{ this.identifier }}'
        where source_load.snapshot_at > loads.snapshot_at
            {%- for name in key %}
            and present.{{ lakefeed.quote(name) }} = files.{{ lakefeed.quote(name) }}
            {%- endfor %}
    )
    {%- endif -%}
    {%- endif -%}
{% endmacro %}


{# Whether a load that is staged already is newer than one that is about to be. #}
{% macro staged_after(loads, staged) %}
    {%- set newest = staged.values() | list | sort | last -%}
    {{- return(newest is defined and newest > loads[0].snapshot_at) -}}
{% endmacro %}


{% macro columns_of_files(files) %}
    {%- set described = run_query('describe from ' ~ lakefeed.read_files(files)) -%}
    {{- return(described.columns[0].values() | map('lower') | list) -}}
{% endmacro %}


{% macro read_files(files) %}
    {%- set listed = [] -%}
    {%- for file in files -%}{%- do listed.append("'" ~ file.replace("'", "''") ~ "'") -%}{%- endfor -%}
    {{- return(
        'read_parquet([' ~ listed | join(', ')
        ~ '], union_by_name = true, hive_partitioning = false)'
    ) -}}
{% endmacro %}


{# Loads that this model has staged: snapshot time by load id. #}
{% macro staged_loads(relation) %}
    {%- set found = {} -%}
    {%- set query -%}
        select load_id, snapshot_at from _lakefeed.staged_loads
        where model = '{{ relation.identifier }}'
    {%- endset -%}
    {%- for row in run_query(query).rows -%}
        {%- do found.update({row[0]: row[1]}) -%}
    {%- endfor -%}
    {{- return(found) -}}
{% endmacro %}


{# The dbt source that a staging model reads: its only source. #}
{% macro raw_table_of(model_node) %}
    {%- set ids = model_node.depends_on.nodes | select('string') | list -%}
    {%- for id in ids if id.startswith('source.') -%}
        {{- return(graph.sources[id]) -}}
    {%- endfor -%}
    {{- exceptions.raise_compiler_error(
        model_node.name ~ ' reads no raw table: pass source(...) to lakefeed.staging'
    ) -}}
{% endmacro %}


{# A name as an SQL identifier: `adapter.quote` doesn't double the quotes within it. #}
{% macro quote(name) %}
    {{- return('"' ~ name.replace('"', '""') ~ '"') -}}
{% endmacro %}


{# These names as SQL identifiers; none for none. #}
{% macro quoted(names) %}
    {%- set quoted = [] -%}
    {%- for name in ([names] if names is string else names or []) -%}
        {%- do quoted.append(lakefeed.quote(name)) -%}
    {%- endfor -%}
    {{- return(quoted or none) -}}
{% endmacro %}


{% macro quoted_list(names) %}
    {{- return(lakefeed.quoted(names) | join(', ')) -}}
{% endmacro %}
