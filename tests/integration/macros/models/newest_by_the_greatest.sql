{{ lakefeed.newest_of(
    rows=ref('raw_rows_with_two_times'), batch='2', key=['id'],
    cursor={'greatest': ['changed', 'made']}
) }}
