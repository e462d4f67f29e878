-- Written by `lakefeed sync` from sources.yaml; a file without this line is left alone.
{{ lakefeed.staging(
    source('shop', 'orders'),
    unique_key=['order_id'],
    cursor='updated_at'
) }}
