{#
    What models over raw need to know before they are built, asked once for all selected models of a
    dbt invocation: a query of its own for each model costs more than the model.

    Kept in `graph`, the only object that the nodes of an invocation share. A model asks for its loads
    itself where this doesn't know them (see `unstaged_loads`).

    Returns:
        types: DuckDB's name of each declared column type, by its declared name.
        models: by unique id: `columns` (names and types, empty for a new model), `is_incremental`, `loads`
            (those to stage; none if a manifest can't be read), `staged_at` (the newest staged snapshot),
            `compared_as`, `made_from` and `was_pruned`.
#}
{% macro build_state() %}
    {%- set known = graph.get('lakefeed', {}) -%}
    {%- if known.get('invocation_id') == invocation_id -%}{{- return(known.state) -}}{%- endif -%}
    {%- set models = lakefeed.selected_models_over_raw() -%}
    {%- set state = lakefeed.relations_and_types(models) -%}
    {%- do lakefeed.refuse_newer_warehouse(state.tables) -%}
    {%- for unique_id, model in models.items() -%}
        {%- do model.update({
            'columns': state.columns.get(model.schema ~ '.' ~ model.name, {}), 'loads': []
        }) -%}
        {%- do model.update({'is_incremental': not model.is_built_anew and model.columns | length > 0}) -%}
    {%- endfor -%}
    {%- do lakefeed.add_staged_and_new(models, state.tables) -%}
    {%- set state = {'types': state.types, 'models': models} -%}
    {%- do graph.update({'lakefeed': {'invocation_id': invocation_id, 'state': state}}) -%}
    {{- return(state) -}}
{% endmacro %}


{# This model's part of the state; empty in a `dbt run-operation`, which builds no model. #}
{% macro model_state() %}
    {%- if model is not defined -%}{{- return({}) -}}{%- endif -%}
    {{- return(lakefeed.build_state().models.get(model.unique_id, {})) -}}
{% endmacro %}


{# The models of this invocation that read a raw table, by unique id. #}
{% macro selected_models_over_raw() %}
    {%- set models = {} -%}
    {%- for unique_id in selected_resources if unique_id in graph.nodes -%}
        {%- set node = graph.nodes[unique_id] -%}
        {%- set read = node.depends_on.nodes | select('in', graph.sources) | list -%}
        {%- if node.resource_type == 'model' and read and graph.sources[read[0]].meta.get('lakefeed') -%}
            {%- set raw = graph.sources[read[0]] -%}
            {%- set refreshes = node.config.get('full_refresh') -%}
            {%- do models.update({unique_id: {
                'name': node.alias,
                'schema': node.schema,
                'folder': lakefeed.raw_folder(raw),
                'lake_name': lakefeed.raw_folder(raw).split('/')[-1],
                'types': raw.meta.lakefeed.columns.values() | list,
                'is_built_anew': flags.FULL_REFRESH if refreshes is none else refreshes
            }}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(models) -}}
{% endmacro %}


{# The tables of `_lakefeed`, the columns of existing models by `schema.name`, and declared types. #}
{% macro relations_and_types(models) %}
    {%- set names = ["''"] -%}
    {%- set types = {'varchar': none, 'bigint': none, 'timestamptz': none} -%}
    {%- for model in models.values() -%}
        {%- do names.append(lakefeed.sql_text(model.name)) -%}
        {%- for type in model.types -%}{%- do types.update({type: none}) -%}{%- endfor -%}
    {%- endfor -%}
    {%- set nulls = [] -%}
    {%- for type in types -%}
        {%- do nulls.append('cast(null as ' ~ type ~ ') as ' ~ lakefeed.quote('c' ~ loop.index0)) -%}
    {%- endfor -%}
    {%- set query -%}
        select
            (
                select coalesce(list(table_name), [])
                from duckdb_tables()
                where database_name = current_database() and schema_name = '_lakefeed'
            ) as tables,
            (
                select coalesce(list([schema_name, table_name, column_name, data_type] order by column_index), [])
                from duckdb_columns()
                where database_name = current_database() and table_name in ({{ names | join(', ') }})
            ) as columns,
            (
                select list(column_type order by column_name[2:]::integer)
                from (describe select {{ nulls | join(', ') }})
            ) as types
    {%- endset -%}
    {%- set found = lakefeed.json_of(query) -%}
    {%- set columns = {} -%}
    {%- for schema, table, column, type in found.columns -%}
        {%- do columns.setdefault(schema ~ '.' ~ table, {}).update({column: type}) -%}
    {%- endfor -%}
    {%- set names = types.keys() | list -%}
    {%- for type in found.types -%}{%- do types.update({names[loop.index0]: type}) -%}{%- endfor -%}
    {{- return({'tables': found.tables, 'columns': columns, 'types': types}) -}}
{% endmacro %}


{# Adds to each model what is recorded of it, and the loads that it has yet to stage. #}
{% macro add_staged_and_new(models, tables) %}
    {%- if not models -%}{{- return(none) -}}{%- endif -%}
    {%- set by_folder = {} -%}
    {%- set rows = [] -%}
    {%- for unique_id, model in models.items() -%}
        {%- do by_folder.update({model.lake_name: lakefeed.as_pattern(model.folder, always=true)}) -%}
        {%- do rows.append(
            '(' ~ lakefeed.sql_text(unique_id) ~ ', ' ~ lakefeed.sql_text(model.name) ~ ', '
            ~ lakefeed.sql_text(model.lake_name) ~ ', ' ~ (model.is_incremental | string | lower) ~ ')'
        ) -%}
    {%- endfor -%}
    {%- set query -%}
        with
        models as (
            select *
            from (values {{ rows | join(', ') }}) as models (unique_id, model, lake_name, is_incremental)
        ),
        {{ lakefeed.files_of_all('commits', by_folder.values(), '_dlt_loads/*.jsonl', '__([0-9.]+)\\.jsonl$') }},
        {{ lakefeed.files_of_all('manifests', by_folder.values(), '_lakefeed_loads/*.json', '([0-9.]+)\\.json$') }},
        {{ lakefeed.files_of_all('prunings', by_folder.values(), '_lakefeed_pruned.json', '') }},
        staged as (
            {{ lakefeed.recorded('staged_loads', 'model, load_id, snapshot_at', tables) }}
        ),
        new_loads as (
            select unique_id, list(load_id order by load_id) as loads
            from models
            join commits using (lake_name)
            join manifests using (lake_name, load_id)
            where not is_incremental or (model, load_id) not in (select (model, load_id) from staged)
            group by unique_id
        ),
        newest as (
            select model, max(snapshot_at) as staged_at from staged group by model
        ),
        compared as (
            select model, max(compared_as) as compared_as
            from ({{ lakefeed.recorded('compared_keys', 'model, compared_as', tables) }})
            group by model
        ),
        made as (
            select model, max(made_from) as made_from
            from ({{ lakefeed.recorded('histories', 'model, made_from', tables) }})
            group by model
        )
        select
            list({
                'unique_id': unique_id,
                'loads': coalesce(loads, []),
                'staged_at': staged_at,
                'compared_as': compared_as,
                'made_from': made_from,
                'was_pruned': lake_name in (select lake_name from prunings)
            }) as models
        from models
        left join new_loads using (unique_id)
        left join newest using (model)
        left join compared using (model)
        left join made using (model)
    {%- endset -%}
    {%- for found in lakefeed.json_of(query).models -%}
        {%- do models[found.unique_id].update(found) -%}
    {%- endfor -%}
    {%- do lakefeed.describe_new_loads(models) -%}
{% endmacro %}


{#
    Replaces each model's ids of new loads by their manifests, in order of their snapshots; by none if
    one of them can't be read, so that the failure is that model's, or if loads are left out (`--as-of`).
#}
{% macro describe_new_loads(models) %}
    {%- set paths = {} -%}
    {%- for model in models.values() if not var('lakefeed_as_of', none) -%}
        {%- set begin = lakefeed.as_pattern(model.folder) ~ '/_lakefeed_loads/' -%}
        {%- for id in model.loads -%}
            {%- do paths.update({lakefeed.sql_text(begin ~ id ~ '.json'): none}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if not paths -%}
        {%- for model in models.values() if model.loads -%}{%- do model.update({'loads': none}) -%}{%- endfor -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set query -%}
        with
        manifests as (
            select
                regexp_extract(filename, '([^/]+)/_lakefeed_loads/[^/]*$', 1) as lake_name,
                try_cast(content as json) as manifest
            from read_text([{{ paths | join(', ') }}])
        ),
        loads as (
            select
                lake_name,
                manifest ->> 'load_id' as load_id,
                manifest ->> 'snapshot_at' as snapshot_at,
                try_cast(manifest ->> 'supersedes' as boolean) as supersedes,
                try_cast(manifest -> 'files' as varchar[]) as files,
                coalesce(manifest ->> 'format', '1.0') as format
            from manifests
        )
        select list(loads order by snapshot_at, try_cast(load_id as double)) as loads
        from loads
        where supersedes is not null and files is not null
    {%- endset -%}
    {%- set described = {} -%}
    {%- for load in lakefeed.json_of(query).loads or [] -%}
        {%- do described.setdefault(load.lake_name, []).append(load) -%}
    {%- endfor -%}
    {%- for model in models.values() if model.loads -%}
        {%- set loads = [] -%}
        {%- set wanted = {} -%}
        {%- for id in model.loads -%}{%- do wanted.update({id: none}) -%}{%- endfor -%}
        {%- for load in described.get(model.lake_name, []) if load.load_id in wanted -%}
            {%- do loads.append({
                'load_id': load.load_id, 'snapshot_at': load.snapshot_at, 'supersedes': load.supersedes,
                'files': load.files, 'format': load.format, 'folder': model.folder
            }) -%}
        {%- endfor -%}
        {%- set is_complete = loads | length == model.loads | length -%}
        {%- do model.update({'loads': loads if is_complete else none}) -%}
    {%- endfor -%}
{% endmacro %}


{# A common table expression with the files of all raw tables that match, and the id in their names. #}
{% macro files_of_all(name, folders, pattern, id) -%}
    {%- set patterns = [] -%}
    {%- for folder in folders -%}
        {%- do patterns.append(lakefeed.sql_text(folder ~ '/' ~ pattern)) -%}
    {%- endfor -%}
    {{ name }} as (
        select
            regexp_extract(file, '([^/]+)/{{ pattern.split('/')[0] }}{{ '/[^/]*' if '/' in pattern }}$', 1) as lake_name,
            regexp_extract(file, '{{ id }}', 1) as load_id
        from glob([{{ patterns | join(', ') }}])
    )
{%- endmacro %}


{# The rows of a table in `_lakefeed`; none if it doesn't exist yet. #}
{% macro recorded(table, columns, tables) -%}
    {%- if table in tables -%}
        select {{ columns }} from _lakefeed.{{ table }}
    {%- else -%}
        select {% for column in columns.split(', ') %}null::varchar as {{ column }}{{ ', ' if not loop.last }}{% endfor %} where false
    {%- endif -%}
{%- endmacro %}


{# The only row of a query as a mapping. As one text: dbt converts each value of a result by itself. #}
{% macro json_of(query) %}
    {%- set row -%}
        select to_json(found)::varchar from ({{ query }}) as found
    {%- endset -%}
    {{- return(fromjson(run_query(row).columns[0].values()[0])) -}}
{% endmacro %}
