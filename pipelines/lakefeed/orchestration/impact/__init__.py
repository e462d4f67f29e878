"""What a change of the project affects, and a trial build of it.

Imports: `declaration`, `declaration.document`, `loading.plan`, `loading.raw`,
    `orchestration.build`, `orchestration.project`, `transformation.dbt_adapter`,
    `transformation.generate`, `transformation.warehouse`.
Public: `diff`, `trial_build`.
"""
