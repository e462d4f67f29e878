"""Inspects a database's tables: columns, keys, partitions, types and their identities.

Imports: `declaration`, `source`, `source.connections`.
Public: `equality`, `expression_indexes`, `guarded`, `identity`, `key_scans`, `partition_bounds`,
    `partitions`, `queries`, `tables`, `types`, `updates`.
"""
