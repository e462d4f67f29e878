"""Plans what a load reads: columns, key, cursor, window, and what changed since earlier loads.

Imports: `declaration`, `declaration.document`, `declaration.models`, `source`,
    `source.connections`, `source.inspection`, `source.replication`.
Public: `backfill`, `changed_settings`, `column_check`, `column_names`, `cursor_columns`, `cursors`,
    `detached`, `log_check`, `queries`, `query_check`, `read_contract`, `table_plan`.
"""
