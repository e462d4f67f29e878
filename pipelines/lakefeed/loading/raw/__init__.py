"""The files of the raw layer: commit log, load manifests, profiles and rows.

Imports: `declaration`, `loading.plan`, `loading.sessions`, `source.inspection`.
Public: `commit_log`, `distinct_values`, `filesystem`, `inventory`, `late_arrivals`,
    `latest_rows`, `load_manifest`, `profile`, `row_key`, `row_versions`, `scan`,
    `table_folders`.
"""
