{#
    What models over raw need to know before they are built, asked once for all selected models of a
    dbt invocation: a query of its own for each model costs more than the model.

    Kept in `graph`, the only object that the nodes of an invocation share. A model asks for its loads
    itself where this doesn't know them (see `unstaged_loads`).

    Returns:
        types: DuckDB's name of each declared column type, by its declared name.
        models: by unique id: `columns` (names and types, empty for a new model), `is_incremental`,
            `staged_at` (the newest staged snapshot), `compared_as`, `declared`, `made_from`, and what Python announces
            of the loads to stage (announced.sql).
#}
{% macro build_state() %}
    {%- set known = graph.get('lakefeed', {}) -%}
    {%- if known.get('invocation_id') == invocation_id -%}{{- return(known.state) -}}{%- endif -%}
    {%- set models = lakefeed.selected_models_over_raw() -%}
    {%- set state = lakefeed.relations_and_types(models) -%}
    {%- do lakefeed.refuse_newer_warehouse(state.tables) -%}
    {%- for unique_id, model in models.items() -%}
        {%- do model.update({
            'columns': state.columns.get(model.schema ~ '.' ~ model.name, {})
        }) -%}
        {%- do model.update({'is_incremental': not model.is_built_anew and model.columns | length > 0}) -%}
    {%- endfor -%}
    {%- if models -%}
        {%- do lakefeed.add_recorded(models, state.tables) -%}
        {%- do lakefeed.announce_loads(models) -%}
    {%- endif -%}
    {%- set state = {'types': state.types, 'models': models} -%}
    {%- do graph.update({'lakefeed': {'invocation_id': invocation_id, 'state': state}}) -%}
    {{- return(state) -}}
{% endmacro %}


{#
    This model's part of the state; empty in a `dbt run-operation`, which builds no model. Fails if the
    model's commit log can't be read.
#}
{% macro model_state() %}
    {%- if model is not defined -%}{{- return({}) -}}{%- endif -%}
    {%- set state = lakefeed.build_state().models.get(model.unique_id, {}) -%}
    {%- do lakefeed.refuse_unread(state) -%}
    {{- return(state) -}}
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
                'is_history': node.config.materialized == 'lakefeed_history',
                'types': raw.meta.lakefeed.columns.values() | list,
                'is_built_anew': flags.FULL_REFRESH if refreshes is none else refreshes
            }}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(models) -}}
{% endmacro %}


{# The tables of `_lakefeed`, the columns of existing models by `schema.name`, and declared types. #}
{% macro relations_and_types(models) %}
    {{- return(adapter.dispatch('relations_and_types', 'lakefeed')(models)) -}}
{% endmacro %}


{% macro duckdb__relations_and_types(models) %}
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


{# Adds to each model what is recorded of it: the loads that it has staged, and what it is made from. #}
{% macro add_recorded(models, tables) %}
    {%- do adapter.dispatch('add_recorded', 'lakefeed')(models, tables) -%}
{% endmacro %}


{% macro duckdb__add_recorded(models, tables) %}
    {%- set rows = [] -%}
    {%- for unique_id, model in models.items() -%}
        {%- do rows.append(
            '(' ~ lakefeed.sql_text(unique_id) ~ ', ' ~ lakefeed.sql_text(model.name) ~ ', '
            ~ (model.is_incremental | string | lower) ~ ')'
        ) -%}
    {%- endfor -%}
    {%- set query -%}
        with
        models as (
            select * from (values {{ rows | join(', ') }}) as models (unique_id, model, is_incremental)
        ),
        staged as (
            select model, list(load_id) as loads, max(snapshot_at) as staged_at
            from ({{ lakefeed.recorded('staged_loads', 'model, load_id, snapshot_at', tables) }})
            group by model
        ),
        compared as (
            select model, max(compared_as) as compared_as
            from ({{ lakefeed.recorded('compared_keys', 'model, compared_as', tables) }})
            group by model
        ),
        declared as (
            select model, max(declared) as declared
            from ({{ lakefeed.recorded('declared_columns', 'model, declared', tables) }})
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
                'staged': case when is_incremental then coalesce(loads, []) else [] end,
                'staged_at': staged_at,
                'compared_as': compared_as,
                'declared': declared,
                'made_from': made_from
            }) as models
        from models
        left join staged using (model)
        left join compared using (model)
        left join declared using (model)
        left join made using (model)
    {%- endset -%}
    {%- for found in lakefeed.json_of(query).models -%}
        {%- do models[found.unique_id].update(found) -%}
    {%- endfor -%}
{% endmacro %}


{# A table of the ledger, by which SQL finds it. #}
{% macro ledger(table) %}
    {{- return(adapter.dispatch('ledger', 'lakefeed')(table)) -}}
{% endmacro %}


{% macro default__ledger(table) %}
    {{- return('_lakefeed.' ~ table) -}}
{% endmacro %}


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
