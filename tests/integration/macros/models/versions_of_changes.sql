{{ lakefeed.versions_of(
    rows=ref('raw_changes'),
    loads=ref('raw_loads'),
    known=ref('known_versions_of_changes'),
    batch='2',
    columns={'id': 'integer', 'word': 'varchar'},
    key=['id'],
    watches_deletes=true,
    reads_log=true
) }}
