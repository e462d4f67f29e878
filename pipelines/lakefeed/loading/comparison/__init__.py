"""Compares the rows that a load has read with those in raw, so that it writes only new ones.

Imports: `loading.plan`, `loading.raw`, `loading.sessions`, `declaration`, `source.inspection`.
Public: `counted_rows`, `loads_to_compare`.
"""
