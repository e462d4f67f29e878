"""PostgreSQL: snapshots, the safe horizon that bounds checkpoints, `where` conditions, queries, and
columns that are hashed or masked.

Imports: `declaration`, `declaration.models`, `source.connections`, `source.inspection`.
Public: `exact_cast`, `json_value`, `predicate`, `progress`, `protection`, `snapshot`,
    `staged_form`, `statement`.
"""
