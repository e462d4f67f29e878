"""The keys of `sources.yaml`, as pydantic models, and the types of their values.

Imports: `declaration.environment`.
Public: `addresses`, `columns`, `declaration`, `json_paths`, `quality`, `table_settings`,
    `value_types`, `wal`.
"""
