"""The files of the raw layer: commit log, load manifests, profiles and rows.

Imports: `declaration.models`, `declaration`, `loading.dlt_settings`, `loading.object_store`,
    `loading.plan`, `loading.sessions`, `source.inspection`, `source.log`.
Public: `commit_log`, `distinct_values`, `inventory`, `late_arrivals`, `latest_rows`,
    `load_manifest`, `nearest_files`, `profile`, `row_key`, `row_versions`,
    `scan`, `table_folders`.
"""
