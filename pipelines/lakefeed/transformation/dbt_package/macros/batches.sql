{#
    The numbers of builds, which only grow: a sequence, or a table of one row in a DuckLake, which has no
    sequences.
#}
{% macro create_batches() -%}
    {%- if adapter.is_ducklake(this) -%}
    create table if not exists _lakefeed.batches (batch bigint);
    {%- else -%}
    create sequence if not exists _lakefeed.batches;
    {%- endif -%}
{%- endmacro %}


{# Takes the next number into the temporary table `lakefeed_new_loads_batch`. #}
{% macro next_batch() -%}
    create or replace temp table lakefeed_new_loads_batch as
    {% if adapter.is_ducklake(this) -%}
        select coalesce(max(batch), 0) + 1 as batch from _lakefeed.batches;
    delete from _lakefeed.batches;
    insert into _lakefeed.batches select batch from lakefeed_new_loads_batch;
    {%- else -%}
        select nextval('_lakefeed.batches') as batch;
    {%- endif -%}
{%- endmacro %}
