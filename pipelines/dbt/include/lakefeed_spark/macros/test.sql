{#
    dbt's tests, of which only those that fail store a table of rows: dbt would make one for each test that
    is told to store its failures, which costs Spark more than the test.
#}
{% materialization test, adapter='lakefeed_spark' %}
    {%- set failing = get_limit_subquery_sql(sql, config.get('limit')) -%}
    {%- call statement('main', fetch_result=true) -%}
        {{ get_test_sql(
            failing, config.get('fail_calc'), config.get('warn_if'), config.get('error_if'), limit=none
        ) }}
    {%- endcall -%}
    {%- if not should_store_failures() -%}{{- return({'relations': []}) -}}{%- endif -%}

    {%- set stored = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(stored) -%}
    {%- if load_result('main').table.columns['failures'].values()[0] -%}
        {%- call statement() -%}{{ create_table_as(false, stored, failing) }}{%- endcall -%}
        {{- return({'relations': [stored]}) -}}
    {%- endif -%}
    {%- if existing is not none -%}{%- do adapter.drop_relation(existing) -%}{%- endif -%}
    {{ return({'relations': []}) }}
{% endmaterialization %}
