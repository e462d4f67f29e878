select
    count(*) as rows_seen,
    count({{ lakefeed.surrogate_key(['a', 'b']) }}) as keys,
    count(distinct {{ lakefeed.surrogate_key(['a', 'b']) }}) as distinct_keys
from {{ ref('key_parts') }}
