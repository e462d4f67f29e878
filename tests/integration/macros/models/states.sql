select
    null::integer as id,
    null::varchar as city,
    null::date as valid_from,
    null::date as valid_to,
    null::date as loaded_at,
    null::boolean as _was_deleted,
    null::bigint as _staged_batch
where false
