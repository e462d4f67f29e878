select
    cast(null as {{ lakefeed.type_named('bigint') }}) as position,
    cast(null as {{ lakefeed.type_named('varchar') }}) as snapshot_at,
    cast(null as {{ lakefeed.type_named('boolean') }}) as supersedes
where false
