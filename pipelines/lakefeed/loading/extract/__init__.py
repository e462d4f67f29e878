"""Copies rows from the source to Parquet and checks that none are missed, moved or duplicated.

Imports: `declaration.models`, `declaration`, `loading.comparison`, `loading.plan`,
    `loading.ranges`, `loading.raw`, `loading.sessions`, `source.inspection`, `source`.
Public: `completeness`, `extract_table`, `extraction`, `missed_rows`, `parquet_copy`, `reader`,
    `rewrite_detection`, `window`.
"""
