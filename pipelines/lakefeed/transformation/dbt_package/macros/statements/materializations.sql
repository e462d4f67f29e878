{#
    The materializations of models over raw (../materializations.sql) where statements aren't united in one
    script: one writes a model's rows, the next records their loads. Killed in between, the next build stages
    the same loads again, with the same result.

    A model without new loads costs no statement.
#}
{% materialization lakefeed_staging, default %}
    {%- set extends = lakefeed.begin_model() -%}
    {%- do lakefeed.stage_by_statements(sql, extends) -%}
    {{ return(lakefeed.end_model(extends)) }}
{% endmaterialization %}


{% materialization lakefeed_history, default %}
    {%- set extends = lakefeed.begin_model() -%}
    {%- do lakefeed.keep_by_statements(sql, extends) -%}
    {{ return(lakefeed.end_model(extends)) }}
{% endmaterialization %}


{% macro stage_by_statements(query, extends) %}
    {%- set raw = lakefeed.raw_table_of(model) -%}
    {%- set is_outdated = extends and lakefeed.key_comparison_changed(raw.meta.lakefeed) -%}
    {%- set new = lakefeed.loads_to_stage(raw, this.identifier if extends else none, is_outdated) -%}
    {%- set fitted = lakefeed.fitted_columns(raw) if extends else {'fits': true} -%}
    {%- if extends and not new.loads and not new.anew and fitted.fits -%}
        {{- return(lakefeed.nothing_new()) -}}
    {%- endif -%}
    {%- do lakefeed.open_loads_by_statements(raw, new.loads, new.counting) -%}
    {%- if not extends -%}
        {%- do lakefeed.write_model(create_table_as(false, this, query)) -%}
    {%- elif new.anew -%}
        {%- set rows -%}
            select {{ fitted.new | join(', ') }} from ({{ query }})
        {%- endset -%}
        {%- do lakefeed.write_model(create_table_as(false, this, rows)) -%}
    {%- else -%}
        {%- if not fitted.fits -%}
            {%- do lakefeed.refuse_lossy_casts(fitted.present, fitted.wanted, this, {}, {}, raw.meta.lakefeed.key) -%}
            {%- set rows -%}
                select {{ fitted.kept | join(', ') }} from {{ this }}
            {%- endset -%}
            {%- do lakefeed.run_statement(create_table_as(false, this, rows)) -%}
        {%- endif -%}
        {%- set columns = fitted.wanted.keys() | list -%}
        {%- set dropped = fitted.present.keys() | reject('in', columns) | list -%}
        {%- do lakefeed.merge_rows(raw.meta.lakefeed, query, new.counting, columns, dropped) -%}
    {%- endif -%}
    {%- if raw.meta.lakefeed.get('compared_as') -%}
        {%- do lakefeed.record_fact('compared_keys', 'compared_as', tojson(raw.meta.lakefeed.compared_as)) -%}
    {%- endif -%}
    {%- do lakefeed.record_loads(new.loads, extends) -%}
{% endmacro %}


{% macro keep_by_statements(query, extends) %}
    {%- set raw = lakefeed.raw_table_of(model) -%}
    {%- set made_from = lakefeed.history_is_made_from() -%}
    {%- set is_outdated = extends and lakefeed.model_state().made_from != made_from -%}
    {%- set new = lakefeed.loads_to_keep(raw, this.identifier if extends else none, is_outdated) -%}
    {%- if extends and not new.loads and not new.anew -%}
        {{- return(lakefeed.nothing_new()) -}}
    {%- endif -%}
    {%- do lakefeed.open_loads_by_statements(raw, new.loads, new.loads) -%}
    {%- if not extends -%}
        {%- do lakefeed.write_model(create_table_as(false, this, query)) -%}
    {%- else -%}
        {%- if new.anew -%}
            {%- set empty = lakefeed.no_versions(raw.meta.lakefeed.columns) -%}
            {%- do lakefeed.run_statement(create_table_as(false, this, empty)) -%}
        {%- endif -%}
        {%- do lakefeed.merge_versions(raw.meta.lakefeed, query) -%}
    {%- endif -%}
    {%- if lakefeed.model_state().made_from != made_from -%}
        {%- do lakefeed.record_fact('histories', 'made_from', made_from) -%}
    {%- endif -%}
    {%- do lakefeed.record_loads(new.loads, extends) -%}
{% endmacro %}


{# What dbt counts as the model's statement. #}
{% macro write_model(statement_text) %}
    {%- call statement('main') -%}{{ statement_text }}{%- endcall -%}
{% endmacro %}


{% macro nothing_new() %}
    {%- do store_raw_result(name='main', message='OK', code='OK', rows_affected='-1', agate_table=none) -%}
{% endmacro %}
