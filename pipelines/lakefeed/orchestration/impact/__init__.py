"""The impact of a change to the project, and a trial build of it.

Imports: `declaration`, `declaration.document`, `loading.plan`, `loading.raw`,
    `orchestration.build`, `orchestration.project`, `source`, `transformation.dbt_adapter`,
    `transformation.generate`, `transformation.warehouse`.
Public: `diff`, `trial_build`.
"""
