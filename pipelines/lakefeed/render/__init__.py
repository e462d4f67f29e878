"""How reports look on a terminal and as JSON. Plain data in, text out.

Imports: `declaration`, `loading.raw`, `orchestration.build`, `orchestration.checks`,
    `orchestration.impact`, `orchestration.inspect`, `orchestration.maintenance`,
    `orchestration.project`, `orchestration.reports`, `transformation`,
    `transformation.dbt_adapter`, `transformation.lineage`.
Public: `audit`, `build`, `check`, `diff`, `init`, `metrics`, `prune`, `report`, `trace`, `unlock`,
    `wording`.
"""
