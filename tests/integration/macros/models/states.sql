select
    cast(null as {{ lakefeed.type_named('integer') }}) as id,
    cast(null as {{ lakefeed.type_named('varchar') }}) as city,
    cast(null as {{ lakefeed.type_named('date') }}) as valid_from,
    cast(null as {{ lakefeed.type_named('date') }}) as valid_to,
    cast(null as {{ lakefeed.type_named('date') }}) as loaded_at,
    cast(null as {{ lakefeed.type_named('boolean') }}) as _was_deleted,
    cast(null as {{ lakefeed.type_named('bigint') }}) as _staged_batch
where false
