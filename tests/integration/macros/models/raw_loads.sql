select
    null::bigint as position,
    null::varchar as snapshot_at,
    null::boolean as supersedes
where false
