-- Written by `lakefeed sync` from sources.yaml; a file without this line is left alone.
{{ lakefeed.staging(
    source('shop', 'countries'),
    unique_key=['country_code']
) }}
