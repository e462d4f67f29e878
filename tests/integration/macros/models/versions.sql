{{ lakefeed.versions_of(
    rows=ref('raw_rows'),
    loads=ref('raw_loads'),
    known=ref('known_versions'),
    batch='2',
    columns={'id': 'integer', 'word': 'varchar', 'changed': 'timestamptz'},
    key=['id'],
    cursor='changed',
    watches_deletes=true
) }}
