{#
    Whether rows were staged since this fact was last built. Batch numbers come from a sequence in the
    warehouse, so no clock is involved.
#}
{% macro staged_since_last_build(batch_columns) %}
    {%- if is_incremental() -%}
    {#- Spark's `greatest` takes no single value. -#}
    {{ batch_columns[0] if batch_columns | length == 1 else lakefeed.one_of('greatest', batch_columns) }} > (
        select coalesce(max(_staged_batch), 0) from {{ this }}
    )
    {%- else -%}
    true
    {%- endif -%}
{% endmacro %}


{#
    Whether a fact may belong to another version of its dimension member than when it was last built:
    the member has a new version, or the fact's version no longer exists, as after a backdated
    correction.

    Args:
        member: the fact's column that identifies the member.
        member_id: the dimension's column that identifies the member.
        version_key: the dimension's key, which has the same name in the fact.
        fact_key: the fact's own key.
#}
{% macro member_changed_since_last_build(member, dimension, member_id, version_key, fact_key) %}
    {%- if is_incremental() -%}
    (
        {{ member }} in (
            select {{ member_id }} from {{ dimension }}
            where _staged_batch > (select coalesce(max(_staged_batch), 0) from {{ this }})
        )
        {%- set kept = [] -%}
        {%- for name in fact_key -%}{%- do kept.append('facts.' ~ name.split('.')[-1]) -%}{%- endfor -%}
        {%- set orphaned %}
            from {{ this }} as facts
            where
                facts.{{ version_key }} is not null
                and not exists (
                    select 1 from {{ dimension }} as versions
                    where versions.{{ version_key }} = facts.{{ version_key }}
                )
        {%- endset %}
        or {{ lakefeed.among(fact_key | join(', '), kept | join(', '), orphaned) }}
    )
    {%- else -%}
    true
    {%- endif -%}
{% endmacro %}


{# Post-hook of a fact: removes facts whose row is no longer in staging. #}
{% macro remove_vanished(staging_model, key) %}
    {%- if is_incremental() -%}
    delete from {{ this }} as fact
    where not exists (
        select 1 from {{ staging_model }} as present
        where {% for name in key %}present.{{ name }} = fact.{{ name }}{{ ' and ' if not loop.last }}{% endfor %}
    )
    {%- else -%}
    select 1
    {%- endif -%}
{% endmacro %}
