{#
    Generic test: the versions of each key are contiguous. Each version ends where the next one begins,
    and the last one is still valid. A version that ended because its row was deleted may end before the
    next one begins, or be the last. The first version is valid from `beginning()`.
#}
{% test no_gaps_no_overlaps(model, key, compared_as={}) %}
    {%- set in_time = '(partition by ' ~ lakefeed.key_of(key, compared_as) ~ ' order by valid_from)' -%}
    with

    neighbours as (

        select
            {{ lakefeed.quoted_list(key) }},
            valid_from,
            valid_to,
            is_current,
            _was_deleted,
            lag(valid_to) over {{ in_time }} as previous_to,
            lag(_was_deleted) over {{ in_time }} as previous_was_deleted,
            row_number() over {{ in_time }} = 1 as is_first,
            lead(valid_from) over {{ in_time }} is null as is_last
        from {{ model }}

    )

    select * from neighbours
    where
        valid_from >= valid_to
        or is_current is distinct from (valid_to is null)
        or is_first and valid_from > {{ lakefeed.beginning() }}
        or not is_first and previous_to is null
        or not is_first and previous_was_deleted and valid_from < previous_to
        or not is_first and not previous_was_deleted and valid_from is distinct from previous_to
        or is_last and valid_to is not null and not _was_deleted
{% endtest %}
