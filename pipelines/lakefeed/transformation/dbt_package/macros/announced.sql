{#
    Completes models over raw by what Python reads in their commit logs, which no engine reads itself
    (pipelines/lakefeed/transformation/dbt_adapter/announcement.py).

    Args:
        models: mappings by any name, each with `folder`, `staged` (the IDs of loads to leave out) and
            `is_history`. They get `loads`, in order of their snapshots; with `lakefeed rebuild --as-of`,
            later ones are left out. Histories get `pruned_at` if raw was pruned. If a log can't be read,
            `refused` says why.
#}
{% macro announce_loads(models) %}
    {%- do adapter.dispatch('announce_loads', 'lakefeed')(models) -%}
{% endmacro %}


{% macro duckdb__announce_loads(models) %}
    {%- set module = 'lakefeed.transformation.dbt_adapter.raw_access' -%}
    {%- set plugins = (target.plugins or []) | selectattr('module', 'equalto', module) | list -%}
    {%- if not plugins -%}
        {{- exceptions.raise_compiler_error(
            'the dbt profile lacks the plugin that reads the commit log; add to this output, or let ' ~
            '`lakefeed sync` write profiles.yml: plugins: [{module: ' ~ module ~ '}]'
        ) -}}
    {%- endif -%}
    {#- dbt-duckdb has its plugins once a session is open, which nothing has opened in a run-operation. -#}
    {%- if model is not defined -%}{%- do run_query('select 1') -%}{%- endif -%}
    {%- do adapter.store_relation(
        plugins[0].alias or 'raw_access', none, [], '', '',
        {'models': models, 'as_of': var('lakefeed_as_of', none)}
    ) -%}
{% endmacro %}


{# The committed loads of a raw table other than these. #}
{% macro loads_besides(staged, folder) %}
    {%- set asked = {'folder': folder, 'staged': staged, 'is_history': false} -%}
    {%- do lakefeed.announce_loads({'asked': asked}) -%}
    {%- do lakefeed.refuse_unread(asked) -%}
    {{- return(asked.loads) -}}
{% endmacro %}


{# Fails if the commit log of a model couldn't be read. #}
{% macro refuse_unread(announced) %}
    {%- if announced.refused -%}{{- exceptions.raise_compiler_error(announced.refused) -}}{%- endif -%}
{% endmacro %}
