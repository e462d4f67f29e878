"""`lakefeed lab`: tests a user's declaration against random writes and killed runs.

Imports: `declaration`, `declaration.document`, `declaration.environment`, `demo`, `loading`,
    `loading.plan`, `orchestration.checks`, `orchestration.log`, `orchestration.project`, `render`,
    `source.connections`, `source.inspection`.
Public: `run`.
"""
