"""`lakefeed cdc`: the slots and publications by which the log of sources is read.

Imports: `declaration`, `declaration.models`, `loading.log`, `orchestration.project`,
    `source.connections`, `source.log`, `source.replication`.
Public: `drop`, `setup`, `slot_states`, `steps`.
"""
