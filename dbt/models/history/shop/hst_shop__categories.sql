-- Written by `lakefeed sync` from sources.yaml; a file without this line is left alone.
{{ lakefeed.history(
    source('shop', 'categories'),
    unique_key=['category_id'],
    cursor='updated_at'
) }}
