{{ lakefeed.no_versions({'id': 'integer', 'word': 'varchar'}) }}
