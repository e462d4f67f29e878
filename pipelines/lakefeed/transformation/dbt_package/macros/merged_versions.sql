{#
    The versions in a relation, with adjacent versions merged if they agree in all of these columns. For
    a dimension of several tables: split their versions wherever one of them changes, then merge equal
    neighbours.

    `relation` must have the key, the columns, valid_from, valid_to, loaded_at, _was_deleted and
    _staged_batch.
#}
{% macro merged_versions(relation, key, columns) %}
    {%- set key_columns = lakefeed.quoted_list(key) -%}
    {%- set in_time = 'partition by ' ~ key_columns ~ ' order by valid_from' -%}
    select
        {{ key_columns }},
        {% for name in columns -%}
        any_value({{ lakefeed.quote(name) }}) as {{ lakefeed.quote(name) }},
        {% endfor -%}
        min(valid_from) as valid_from,
        {{ lakefeed.value_at_greatest('valid_to', 'valid_from') }} as valid_to,
        {{ lakefeed.value_at_greatest('valid_to', 'valid_from') }} is null as is_current,
        min_by(loaded_at, valid_from) as loaded_at,
        max_by(_was_deleted, valid_from) as _was_deleted,
        max(_staged_batch) as _staged_batch
    from (
        select
            *,
            sum(case when _differs then 1 else 0 end) over (
                partition by {{ key_columns }} order by valid_from
            ) as _version
        from (
            select
                *,
                valid_from is distinct from lag(valid_to) over ({{ in_time }})
                    or {{ lakefeed.differs_from_last(dict.fromkeys(columns), in_time) }}
                    as _differs
            from {{ relation }}
        )
    )
    group by {{ key_columns }}, _version
{%- endmacro %}
