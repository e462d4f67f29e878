"""How reports look on a terminal and as JSON. Plain data in, text out.

Imports: `declaration`, `declaration.environment`, `declaration.models`, `loading.forecast`,
    `loading.raw`, `orchestration.build`, `orchestration.checks`, `orchestration.impact`,
    `orchestration.ingest`, `orchestration.inspect`, `orchestration.log`,
    `orchestration.maintenance`, `orchestration.notifications`, `orchestration.project`,
    `orchestration.reports`, `render.parts`, `transformation`, `transformation.dbt_adapter`,
    `transformation.lineage`.
Public: `audit`, `build`, `cdc`, `check`, `diff`, `init`, `metrics`, `notification`, `plan`,
    `progress`, `prune`, `report`, `trace`, `unlock`.
"""
