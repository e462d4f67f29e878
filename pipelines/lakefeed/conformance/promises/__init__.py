"""What every engine must do, a function for each promise: it raises with what differed.

Imports: `conformance`, `loading.object_store`, `loading.raw`, `orchestration`,
    `orchestration.build`, `orchestration.ingest`, `orchestration.maintenance`.
Public: `history`, `housekeeping`, `kills`, `publication`, `schema_changes`, `staging`, `values`.
"""
