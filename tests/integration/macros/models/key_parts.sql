select
    cast(null as {{ lakefeed.type_named('varchar') }}) as a,
    cast(null as {{ lakefeed.type_named('varchar') }}) as b
where false
