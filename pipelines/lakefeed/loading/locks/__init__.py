"""Locks that allow one load of a table at a time: a file on this machine, an advisory lock in the
source across machines.

Imports: `declaration`, `loading.object_store`, `source.connections`.
Public: `holding_sessions`, `lock_file`, `table_lock`.
"""
