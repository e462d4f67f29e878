"""Splits what is read of a table: by pages, by its key, or along its cursor.

Imports: `loading.plan`, `loading.raw`, `loading.sessions`, `source`.
Public: `ctid_ranges`, `first_loads`, `key_ranges`, `steps`.
"""
