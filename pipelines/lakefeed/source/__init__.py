"""PostgreSQL: snapshots, the safe horizon that bounds checkpoints, and `where` conditions.

Imports: `source.connections`.
Public: `predicate`, `snapshot`.
"""
