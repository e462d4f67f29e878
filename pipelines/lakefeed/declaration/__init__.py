"""What a project declares: `sources.yaml`, merged and explained, and its catalogue.

Depends on PyYAML and pydantic only, since Airflow's scheduler imports it every few seconds; and on
python-dotenv where settings refer to variables. Nothing here opens a connection or needs a secret.

Imports: `declaration.document`, `declaration.environment`, `declaration.models`.
Public: `catalogue`, `column_checks`, `differences`, `explain`, `flattened`, `log_settings`,
    `partitioning`, `project`, `reference`, `relationship_targets`, `table`, `table_names`,
    `tables`.
"""
