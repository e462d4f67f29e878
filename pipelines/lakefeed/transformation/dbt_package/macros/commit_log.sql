{#
    The commit log as dbt sees it: the committed loads of a raw table that a model has yet to stage, in
    order of their snapshots. Python reads it and announces the loads (announced.sql): those that are new
    to any model at once (build_state.sql), all loads of a table only if one arrived late.

    Superseded loads are recorded as staged without reading their files: they aren't `counting`.

    `anew` means that the model must be emptied first: a new load supersedes its rows, a load arrived
    late (its snapshot is older than the newest staged one), or the caller asks for it. If no load is
    late, all new loads come after the staged ones, so the new loads alone determine what counts.

    `model_name` is none for a model that is built from scratch.
#}
{% macro loads_to_stage(raw, model_name=none, anew=false) %}
    {%- set folder = lakefeed.raw_folder(raw) -%}
    {%- set new = lakefeed.all_loads(folder) if anew else lakefeed.unstaged_loads(folder, model_name) -%}
    {%- if anew -%}
        {{- return({'loads': new, 'counting': lakefeed.loads_that_count(new), 'anew': true}) -}}
    {%- endif -%}
    {%- set state = namespace(loads=new, counting=lakefeed.loads_that_count(new), anew=false) -%}
    {%- set staged_at = lakefeed.model_state().staged_at if new and model_name -%}
    {%- if staged_at and staged_at > new[0].snapshot_at -%}
        {%- set state.counting = [] -%}
        {%- set all_loads = lakefeed.all_loads(folder) -%}
        {%- set new_ids = new | map(attribute='load_id') | list -%}
        {%- for load in lakefeed.loads_that_count(all_loads) if load.load_id in new_ids -%}
            {%- set state.loads = all_loads -%}
            {%- set state.counting = lakefeed.loads_that_count(all_loads) -%}
            {%- set state.anew = true -%}
        {%- endfor -%}
    {%- elif staged_at and new | selectattr('supersedes') | list -%}
        {%- set state.anew = true -%}
    {%- endif -%}
    {{- return({'loads': state.loads, 'counting': state.counting, 'anew': state.anew}) -}}
{% endmacro %}


{#
    The same for a history model, which also reads superseded loads. `anew` means that all loads are
    read again, because a load arrived late or the caller asks for it.
#}
{% macro loads_to_keep(raw, model_name=none, anew=false) %}
    {%- set folder = lakefeed.raw_folder(raw) -%}
    {%- set staged_at = lakefeed.model_state().staged_at if model_name and not anew -%}
    {%- set new = lakefeed.all_loads(folder) if anew else lakefeed.unstaged_loads(folder, model_name) -%}
    {%- if staged_at and new and staged_at > new[0].snapshot_at -%}
        {{- return(lakefeed.loads_to_keep(raw, model_name, anew=true)) -}}
    {%- endif -%}
    {%- set whole = anew or not model_name -%}
    {{- return({'loads': lakefeed.loads_that_fit(raw, new) if whole else new, 'anew': anew}) -}}
{% endmacro %}


{#
    These loads, starting at the first one from which all values fit the current column types. If a
    column was retyped so that older values would be rounded or lost, its table has been read whole.
#}
{% macro loads_that_fit(raw, loads) %}
    {%- set start = namespace(at=0) -%}
    {%- if loads -%}
        {%- set unfit_ids = lakefeed.unfit_loads(raw, loads) -%}
        {%- for load in loads -%}
            {%- if load.load_id in unfit_ids -%}
                {%- set start.at = none -%}
            {%- elif start.at is none and load.supersedes -%}
                {%- set start.at = loop.index0 -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{- return(lakefeed.loads_that_count(loads) if start.at is none else loads[start.at:]) -}}
{% endmacro %}


{# The IDs of those loads that have a value which the current column types can't hold. #}
{% macro unfit_loads(raw, loads) %}
    {{- return(adapter.dispatch('unfit_loads', 'lakefeed')(raw, loads)) -}}
{% endmacro %}


{% macro duckdb__unfit_loads(raw, loads) %}
    {%- set rows = lakefeed.rows_of_loads(loads) -%}
    {%- set raw_types = lakefeed.described('from ' ~ rows) -%}
    {%- set names = lakefeed.read_from(raw.meta.lakefeed) -%}
    {%- set unfit = lakefeed.values_lost(
        raw_types, raw.meta.lakefeed.columns, names, lakefeed.forms_of(raw.meta.lakefeed)
    ).values() | list -%}
    {%- for key in raw.meta.lakefeed.key if names.get(key, key) in raw_types -%}
        {%- do unfit.append(lakefeed.quote(names.get(key, key)) ~ ' is null') -%}
    {%- endfor -%}
    {%- set query -%}
        select distinct _dlt_load_id from {{ rows }}
        where {{ unfit | join(' or ') }}
    {%- endset -%}
    {{- return(run_query(query).columns[0].values() if unfit else ()) -}}
{% endmacro %}


{# The newest superseding load and the loads after it. #}
{% macro loads_that_count(loads) %}
    {%- set start = namespace(at=0) -%}
    {%- for load in loads if load.supersedes -%}{%- set start.at = loads.index(load) -%}{%- endfor -%}
    {{- return(loads[start.at:]) -}}
{% endmacro %}


{# All committed loads of a raw table. #}
{% macro all_loads(folder) %}
    {{- return(lakefeed.loads_besides([], folder)) -}}
{% endmacro %}


{# The committed loads that this model has yet to stage; all of them if it is built from scratch. #}
{% macro unstaged_loads(folder, model_name) %}
    {%- set known = lakefeed.model_state() -%}
    {%- if known and known.is_incremental == (model_name is not none) -%}{{- return(known.loads) -}}{%- endif -%}
    {%- if not model_name -%}{{- return(lakefeed.all_loads(folder)) -}}{%- endif -%}
    {%- set query -%}
        select load_id from {{ lakefeed.ledger('staged_loads') }} where model = {{ lakefeed.sql_text(model_name) }}
    {%- endset -%}
    {{- return(lakefeed.loads_besides(run_query(query).columns[0].values() | list, folder)) -}}
{% endmacro %}


{# The raw folder of a table. A relative path starts at the dbt project's folder. #}
{% macro raw_folder(raw) %}
    {{- return(raw.meta.lakefeed.folder) -}}
{% endmacro %}


{#
    The path escaped as a glob pattern that matches only itself, since DuckDB takes file names as
    patterns.

    A character in brackets stands for itself. A backslash would be a path separator in a pattern, so it
    is written as the range from `[` to `]`. (pipelines/lakefeed/duckdb_paths.py has the same rule.)
#}
{% macro as_pattern(path) %}
    {%- if not ('*' in path or '?' in path or '[' in path) -%}
        {{- return(path) -}}
    {%- endif -%}
    {%- set signs = [] -%}
    {%- for sign in path -%}
        {%- do signs.append(
            '[[-]]' if sign == '\\' else '[' ~ sign ~ ']' if sign in '*?[' else sign
        ) -%}
    {%- endfor -%}
    {{- return(signs | join) -}}
{% endmacro %}
