{{ lakefeed.newest_of(
    rows=ref('raw_rows'), batch='2', key=['id'], cursor='changed', removes_deleted=true
) }}
