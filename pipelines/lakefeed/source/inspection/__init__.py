"""What the database says of its tables: columns, keys, partitions, types, and what identifies them.

Imports: `declaration`, `source.connections`.
Public: `equality`, `guarded`, `identity`, `partitions`, `tables`, `types`.
"""
