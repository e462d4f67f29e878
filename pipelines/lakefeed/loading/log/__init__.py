"""The source's log in one run: decoded once for all of its tables, and turned into row versions.

Imports: `declaration`, `declaration.models`, `loading.object_store`, `loading.plan`, `loading.raw`,
    `loading.sessions`, `source`, `source.connections`, `source.inspection`, `source.log`,
    `source.replication`.
Public: `changes`, `completion`, `held_slot`, `positions`, `run_log`, `unread`.
"""
