"""Plans what a load reads: columns, key, cursor, window, and what changed since earlier loads.

Imports: `declaration`, `declaration.document`, `source`, `source.inspection`.
Public: `backfill`, `cursors`, `queries`, `read_contract`, `table_plan`.
"""
