-- Written by `lakefeed sync` from sources.yaml; a file without this line is left alone.
{{ lakefeed.staging(
    source('shop', 'payments'),
    unique_key=['payment_id'],
    cursor='updated_at'
) }}
