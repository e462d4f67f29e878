{#
    The materializations of models over raw. They are incremental: a table that exists is extended, except
    with `--full-refresh`. Each model is built by one script in one transaction, so that its rows and the
    records of their loads change together, and so that a model costs few round trips: dbt's own
    `incremental` asks the database some ten questions a model.

    dbt's hooks, indexes and column comments work as with `incremental`.

    Another engine has materializations of its own, so that macros which only these call are DuckDB's and
    aren't dispatched. Those that any engine needs in its own dialect are.
#}
{% materialization lakefeed_staging, adapter='duckdb' %}
    {%- set extends = lakefeed.begin_model() -%}
    {%- set script = lakefeed.staging_script(sql, extends) -%}
    {% call statement('main') %}{{ script }}{% endcall %}
    {{ return(lakefeed.end_model(extends)) }}
{% endmaterialization %}


{% materialization lakefeed_history, adapter='duckdb' %}
    {%- set extends = lakefeed.begin_model() -%}
    {%- set script = lakefeed.history_script(sql, extends) -%}
    {% call statement('main') %}{{ script }}{% endcall %}
    {{ return(lakefeed.end_model(extends)) }}
{% endmaterialization %}


{# Runs the hooks before the model. Returns whether the model extends its table. #}
{% macro begin_model() %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- set existing = load_cached_relation(this) -%}
    {%- if existing is not none and existing.type != 'table' -%}
        {%- do adapter.drop_relation(existing) -%}
    {%- endif -%}
    {{- return(lakefeed.extends_table()) -}}
{% endmacro %}


{# The statement of a model's script that writes its rows. #}
{% macro write_rows(query, extends) -%}
    {% if extends -%}
    insert into {{ this }} by name (
    {%- else -%}
    create or replace table {{ this }} as (
    {%- endif %}
    {{ query }}
    );
{%- endmacro %}


{# Runs what follows a model's script, and commits. #}
{% macro end_model(extends) %}
    {%- set built = this.incorporate(type='table') -%}
    {%- if not extends -%}{%- do create_indexes(built) -%}{%- endif -%}
    {%- do persist_docs(built, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do adapter.commit() -%}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{- return({'relations': [built]}) -}}
{% endmacro %}


{# Whether this build extends the model's table, as `is_incremental` tells of dbt's materialization. #}
{% macro extends_table() %}
    {%- if not execute -%}{{- return(false) -}}{%- endif -%}
    {%- set existing = load_cached_relation(this) -%}
    {{- return(existing is not none and existing.type == 'table' and not should_full_refresh()) -}}
{% endmacro %}
