select
    null::integer as id,
    null::varchar as word,
    null::timestamptz as changed,
    null::timestamptz as _deleted_at,
    null::varchar as _dlt_load_id,
    null::bigint as _load_position
where false
