"""PostgreSQL: snapshots, the safe horizon that bounds checkpoints, `where` conditions, and columns
that are hashed or masked.

Imports: `declaration.models`, `source.connections`.
Public: `predicate`, `protection`, `snapshot`.
"""
