select
    cast(null as {{ lakefeed.type_named('integer') }}) as id,
    cast(null as {{ lakefeed.type_named('varchar') }}) as word,
    cast(null as {{ lakefeed.type_named('timestamptz') }}) as changed,
    cast(null as {{ lakefeed.type_named('timestamptz') }}) as made,
    cast(null as {{ lakefeed.type_named('bigint') }}) as _load_position
where false
