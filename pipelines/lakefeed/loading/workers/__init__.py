"""Loads tables in processes of their own: Python runs one thread of a process at a time.

Imports: `declaration`, `loading`, `loading.dlt_settings`, `loading.extract`, `loading.locks`,
    `loading.object_store`, `loading.plan`, `loading.raw`, `loading.sessions`, `source`,
    `source.connections`.
Public: `messages`, `pool`.
"""
