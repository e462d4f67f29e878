{#
    The versions in a relation, with adjacent versions merged if they agree in all of these columns. For
    a dimension of several tables: split their versions wherever one of them changes, then merge equal
    neighbours.

    `relation` must have the key, the columns, valid_from, valid_to, loaded_at, _was_deleted and
    _staged_batch.
#}
{% macro merged_versions(relation, key, columns) %}
    {{- return(adapter.dispatch('merged_versions', 'lakefeed')(relation, key, columns)) -}}
{% endmacro %}


{% macro duckdb__merged_versions(relation, key, columns) %}
    {%- set key_columns = lakefeed.quoted_list(key) -%}
    {%- set all_columns = lakefeed.quoted_list(columns) -%}
    select
        {{ key_columns }},
        {% for name in columns -%}
        any_value({{ lakefeed.quote(name) }}) as {{ lakefeed.quote(name) }},
        {% endfor -%}
        min(valid_from) as valid_from,
        arg_max_null(valid_to, valid_from) as valid_to,
        arg_max_null(valid_to, valid_from) is null as is_current,
        arg_min(loaded_at, valid_from) as loaded_at,
        arg_max(_was_deleted, valid_from) as _was_deleted,
        max(_staged_batch) as _staged_batch
    from (
        select *, count(*) filter (_differs) over in_time as _version
        from (
            select
                *,
                valid_from is distinct from lag(valid_to) over in_time
                    or row({{ all_columns }}) is distinct from lag(row({{ all_columns }})) over in_time
                    as _differs
            from {{ relation }}
            window in_time as (partition by {{ key_columns }} order by valid_from)
        )
        window in_time as (partition by {{ key_columns }} order by valid_from)
    )
    group by {{ key_columns }}, _version
{%- endmacro %}
