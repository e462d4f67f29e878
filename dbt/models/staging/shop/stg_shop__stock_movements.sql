-- Written by `lakefeed sync` from sources.yaml; a file without this line is left alone.
{{ lakefeed.staging(
    source('shop', 'stock_movements'),
    unique_key=['movement_id'],
    cursor='moved_at'
) }}
