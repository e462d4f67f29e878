"""What a load reads, decided before anything is read: columns, cursor, window and their history.

Imports: `declaration`, `declaration.document`, `source`, `source.inspection`.
Public: `backfill`, `cursors`, `queries`, `read_contract`, `table_plan`.
"""
