"""PostgreSQL: snapshots, the safe horizon that bounds checkpoints, `where` conditions, queries, and
columns that are hashed or masked.

Imports: `declaration`, `declaration.models`, `source.connections`.
Public: `predicate`, `progress`, `protection`, `snapshot`, `statement`.
"""
