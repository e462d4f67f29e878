-- Written by `lakefeed sync` from sources.yaml; a file without this line is left alone.
{{ lakefeed.history(
    source('shop', 'customers'),
    unique_key=['customer_id'],
    cursor='updated_at'
) }}
