select null::varchar as a, null::varchar as b where false
