"""One load of a table at a time: on this machine by file, across machines by advisory lock.

Imports: `declaration`, `loading.raw`, `source.connections`.
Public: `lock_file`, `table_lock`.
"""
