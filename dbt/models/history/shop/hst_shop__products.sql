-- Written by `lakefeed sync` from sources.yaml; a file without this line is left alone.
{{ lakefeed.history(
    source('shop', 'products'),
    unique_key=['product_id'],
    cursor='updated_at'
) }}
