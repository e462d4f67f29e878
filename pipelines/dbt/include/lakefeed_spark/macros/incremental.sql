{#
    dbt-spark's `incremental`, with two differences: a full refresh replaces the table instead of dropping
    it, since public views are pinned to its snapshots; and a merge that would round decimals fails, where
    Spark would round them without an error.
#}
{% materialization incremental, adapter='lakefeed_spark' %}
    {%- set strategy = dbt_spark_validate_get_incremental_strategy(
        config.get('incremental_strategy') or 'append', 'iceberg'
    ) -%}
    {%- set on_schema_change = incremental_validate_on_schema_change(
        config.get('on_schema_change'), default='ignore'
    ) -%}
    {%- set predicates = config.get('predicates', none) or config.get('incremental_predicates', none) -%}
    {%- set existing = load_cached_relation(this) -%}

    {{ run_hooks(pre_hooks) }}

    {%- if existing is not none and existing.is_view -%}{%- do adapter.drop_relation(existing) -%}{%- endif -%}
    {%- if existing is none or existing.is_view or should_full_refresh() -%}
        {%- call statement('main') -%}{{ create_table_as(false, this, compiled_code) }}{%- endcall -%}
    {%- else -%}
        {%- set new_rows = this.incorporate(path={'identifier': this.identifier ~ '__dbt_tmp'}).include(
            database=false, schema=false
        ) -%}
        {%- call statement() -%}{{ create_table_as(true, new_rows, compiled_code) }}{%- endcall -%}
        {%- do process_schema_changes(on_schema_change, new_rows, existing) -%}
        {%- do adapter.refuse_rounding(new_rows.render(), existing.render()) -%}
        {%- call statement('main') -%}
            {{ dbt_spark_get_incremental_sql(
                strategy, new_rows, this, existing, config.get('unique_key'), predicates
            ) }}
        {%- endcall -%}
    {%- endif -%}

    {%- do apply_grants(this, config.get('grants'), should_revoke(existing)) -%}
    {%- do persist_docs(this, model) -%}

    {{ run_hooks(post_hooks) }}

    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}
