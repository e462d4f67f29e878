"""Plans what a load reads: columns, key, cursor, window, and what changed since earlier loads.

Imports: `declaration.document`, `declaration.models`, `declaration`, `source.connections`,
    `source.inspection`, `source`.
Public: `backfill`, `column_check`, `column_names`, `cursor_columns`, `cursors`,
    `detached`, `queries`, `query_check`, `read_contract`, `table_plan`.
"""
