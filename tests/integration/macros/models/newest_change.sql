{{ lakefeed.newest_of(
    rows=ref('raw_changes'), batch='2', key=['id'], removes_deleted=true, watches_deletes=true,
    log=lakefeed.columns_of_log({'log': true})
) }}
