"""Maintains raw: expires loads, compacts files, prunes replaced row versions and erases keys.

Imports: `declaration`, `loading.extract`, `loading.object_store`, `loading.plan`,
    `loading.raw`, `loading.sessions`, `source.inspection`.
Public: `builders`, `erase`, `prune`, `scratch_engine`.
"""
