-- Written by `lakefeed sync` from sources.yaml; a file without this line is left alone.
{{ lakefeed.staging(
    source('shop', 'order_lines'),
    unique_key=['order_id', 'line_number'],
    cursor='updated_at'
) }}
