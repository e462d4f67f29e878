"""`lakefeed lab`: the user's own declaration tried against random writers and killed runs.

Imports: `declaration`, `declaration.document`, `demo`, `loading`, `loading.plan`,
    `orchestration.checks`, `orchestration.project`, `render`, `source.connections`,
    `source.inspection`.
Public: `run`.
"""
