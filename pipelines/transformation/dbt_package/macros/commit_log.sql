{#
    The commit log as dbt sees it: committed loads of a raw table that a model has yet to stage, in
    the order in which they count. Costs one listing, and reads only what is new.

    A load is committed when `_dlt_loads` has its entry; `_lakefeed_loads` says what it holds. One
    that doesn't `count` was superseded: it is noted as staged, and its files are not read.

    `anew` tells that the model is to be emptied first, since a load supersedes what it holds, or one
    arrived late, with a snapshot older than what it holds.
#}
{% macro loads_to_stage(raw, staged) %}
    {%- set folder = lakefeed.raw_folder(raw) -%}
    {%- set new_ids = [] -%}
    {%- for id in lakefeed.committed_load_ids(folder) if id not in staged -%}
        {%- do new_ids.append(id) -%}
    {%- endfor -%}
    {%- set state = namespace(loads=lakefeed.described_loads(folder, new_ids), anew=false) -%}
    {%- set supersedes = state.loads | selectattr('supersedes') | list -%}
    {%- set is_late = lakefeed.is_late(state.loads, staged) -%}
    {%- if staged and (supersedes or is_late) -%}
        {%- set all_loads = lakefeed.described_loads(folder, new_ids + staged.keys() | list) -%}
        {%- for load in lakefeed.loads_that_count(all_loads) if load.load_id not in staged -%}
            {%- set state.loads = all_loads -%}
            {%- set state.anew = true -%}
        {%- endfor -%}
        {%- set counting = lakefeed.loads_that_count(all_loads) if state.anew else [] -%}
    {%- else -%}
        {%- set counting = lakefeed.loads_that_count(state.loads) -%}
    {%- endif -%}
    {{- return({'loads': state.loads, 'counting': counting, 'anew': state.anew}) -}}
{% endmacro %}


{# The newest load that supersedes, and those after it. #}
{% macro loads_that_count(loads) %}
    {%- set start = namespace(at=0) -%}
    {%- for load in loads if load.supersedes -%}{%- set start.at = loads.index(load) -%}{%- endfor -%}
    {{- return(loads[start.at:]) -}}
{% endmacro %}


{# Whether a load that is staged already is newer than one that is about to be. #}
{% macro is_late(loads, staged) %}
    {%- set newest = staged.values() | list | sort | last -%}
    {{- return(newest is defined and loads and newest > loads[0].snapshot_at) -}}
{% endmacro %}


{% macro committed_load_ids(folder) %}
    {%- set query -%}
        with
        commits as (
            select regexp_extract(file, '__([0-9.]+)\.jsonl$', 1) as load_id
            from glob('{{ folder }}/_dlt_loads/*.jsonl')
        ),
        descriptions as (
            select regexp_extract(file, '([0-9.]+)\.json$', 1) as load_id
            from glob('{{ folder }}/_lakefeed_loads/*.json')
        )
        select load_id from commits join descriptions using (load_id) order by load_id
    {%- endset -%}
    {{- return(run_query(query).columns[0].values() | list) -}}
{% endmacro %}


{% macro described_loads(folder, load_ids) %}
    {%- set loads = [] -%}
    {%- if load_ids -%}
        {%- set paths = [] -%}
        {%- for id in load_ids -%}
            {%- do paths.append("'" ~ folder ~ '/_lakefeed_loads/' ~ id ~ ".json'") -%}
        {%- endfor -%}
        {%- set query -%}
            select load_id, snapshot_at, supersedes, to_json(files)
            from read_json(
                [{{ paths | join(', ') }}],
                columns = {
                    load_id: 'varchar', snapshot_at: 'varchar', supersedes: 'boolean',
                    files: 'varchar[]'
                }
            )
            order by snapshot_at, load_id::double
        {%- endset -%}
        {%- for row in run_query(query).rows -%}
            {%- do loads.append({
                'load_id': row[0], 'snapshot_at': row[1], 'supersedes': row[2],
                'files': fromjson(row[3]), 'folder': folder
            }) -%}
        {%- endfor -%}
    {%- endif -%}
    {{- return(loads) -}}
{% endmacro %}


{# The raw folder of a table; a relative one is meant from the dbt project's folder. #}
{% macro raw_folder(raw) %}
    {{- return(raw.meta.lakefeed.folder.replace("'", "''")) -}}
{% endmacro %}
