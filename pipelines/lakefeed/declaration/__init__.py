"""What a project declares: `sources.yaml`, merged and explained, and its catalogue.

Depends on PyYAML and pydantic only, since Airflow's scheduler imports it every few seconds.
Nothing here opens a connection or reads a secret.

Imports: `declaration.document`, `declaration.models`.
Public: `catalogue`, `differences`, `explain`, `lake_names`, `project`, `reference`,
    `relationship_targets`, `table`, `table_names`, `tables`.
"""
