{#
    The rows of a staging model that were staged since this fact was last built. Batches are numbers
    that the warehouse counts up itself, so no clock is involved.
#}
{% macro staged_since_last_build(batch_columns) %}
    {%- if is_incremental() -%}
    greatest({{ batch_columns | join(', ') }}) > (
        select coalesce(max(_staged_batch), 0) from {{ this }}
    )
    {%- else -%}
    true
    {%- endif -%}
{% endmacro %}


{#
    Whether a fact may belong to another version of its member than when it was last built: the member
    has a version that is new, or the fact's is gone, as after a correction backwards.

    Args:
        member, member_id: what names the member in the fact's rows, and in the dimension.
        version_key: the dimension's key, which the fact has under the same name.
        fact_key: the fact's own key.
#}
{% macro member_changed_since_last_build(member, dimension, member_id, version_key, fact_key) %}
    {%- if is_incremental() -%}
    (
        {{ member }} in (
            select {{ member_id }} from {{ dimension }}
            where _staged_batch > (select coalesce(max(_staged_batch), 0) from {{ this }})
        )
        or ({{ fact_key | join(', ') }}) in (
            select ({% for name in fact_key %}facts.{{ name.split('.')[-1] }}{{ ', ' if not loop.last }}{% endfor %})
            from {{ this }} as facts
            anti join {{ dimension }} as versions on versions.{{ version_key }} = facts.{{ version_key }}
            where facts.{{ version_key }} is not null
        )
    )
    {%- else -%}
    true
    {%- endif -%}
{% endmacro %}


{# Post-hook of a fact: removes facts whose row has left staging (`full_refresh`). #}
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
