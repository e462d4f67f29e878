"""Copies rows from the source to Parquet and checks that none are missed, moved or duplicated.

Imports: `declaration`, `declaration.models`, `loading.comparison`, `loading.log`, `loading.plan`,
    `loading.ranges`, `loading.raw`, `loading.sessions`, `source`, `source.inspection`,
    `source.log`.
Public: `completeness`, `extract_table`, `extraction`, `manifest_of_load`, `missed_rows`,
    `parquet_copy`, `reader`, `rewrite_detection`, `window`.
"""
