-- Written by `lakefeed sync` from sources.yaml; a file without this line is left alone.
{{ lakefeed.history(
    source('shop', 'addresses'),
    unique_key=['address_id'],
    cursor='updated_at'
) }}
