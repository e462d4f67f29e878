-- Written by `lakefeed sync` from sources.yaml; a file without this line is left alone.
{{ lakefeed.history(
    source('shop', 'countries'),
    unique_key=['country_code']
) }}
