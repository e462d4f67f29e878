"""PostgreSQL: one snapshot of it, and how far the checkpoint may move.

Imports: `source.connections`.
Public: `predicate`, `snapshot`.
"""
