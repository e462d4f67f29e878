"""What a project declares: `sources.yaml` merged and explained, and the catalogue beside it.

Needs PyYAML and pydantic alone, since a scheduler parses it every few seconds. Nothing here
connects to anything or needs a secret.

Imports: `declaration.document`.
Public: `catalogue`, `differences`, `explain`, `models`, `project`, `quality`, `reference`,
    `relationship_targets`, `table_names`, `tables`, `value_types`.
"""
