select
    null::integer as id,
    null::varchar as word,
    null::timestamptz as changed,
    null::timestamptz as made,
    null::bigint as _load_position
where false
