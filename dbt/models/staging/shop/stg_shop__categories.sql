-- Written by `lakefeed sync` from sources.yaml; a file without this line is left alone.
{{ lakefeed.staging(
    source('shop', 'categories'),
    unique_key=['category_id'],
    cursor='updated_at'
) }}
