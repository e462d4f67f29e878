"""`lakefeed cdc`: the slots and publications by which the log of sources is read.

Imports: `declaration`, `orchestration.project`, `source.connections`, `source.log`.
Public: `drop`, `setup`, `slot_states`.
"""
