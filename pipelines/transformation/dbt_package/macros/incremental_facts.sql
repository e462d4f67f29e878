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
    Whether a fact's member of a dimension has news since the fact was last built: a version that is
    new, or ends elsewhere, may be the one that the fact belongs to.
#}
{% macro member_changed_since_last_build(member, dimension, member_id) %}
    {%- if is_incremental() -%}
    {{ member }} in (
        select {{ member_id }} from {{ dimension }}
        where _staged_batch > (select coalesce(max(_staged_batch), 0) from {{ this }})
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
