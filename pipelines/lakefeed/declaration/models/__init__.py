"""The keys of `sources.yaml`, as pydantic models, and the types of their values.

Imports: nothing of Lakefeed.
Public: `declaration`, `quality`, `table_settings`, `value_types`.
"""
