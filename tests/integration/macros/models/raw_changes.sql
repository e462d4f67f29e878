select
    cast(null as {{ lakefeed.type_named('integer') }}) as id,
    cast(null as {{ lakefeed.type_named('varchar') }}) as word,
    cast(null as {{ lakefeed.type_named('timestamptz') }}) as _deleted_at,
    cast(null as {{ lakefeed.type_named('bigint') }}) as _wal_lsn,
    cast(null as {{ lakefeed.type_named('bigint') }}) as _wal_position,
    cast(null as {{ lakefeed.type_named('timestamptz') }}) as _wal_committed_at,
    cast(null as {{ lakefeed.type_named('varchar') }}) as _dlt_load_id,
    cast(null as {{ lakefeed.type_named('bigint') }}) as _load_position
where false
