"""Maintains raw: expires loads, compacts files, prunes replaced row versions and erases keys.

Imports: `declaration`, `loading.extract`, `loading.plan`, `loading.raw`, `loading.sessions`,
    `source.inspection`.
Public: `erase`, `prune`, `scratch_engine`.
"""
