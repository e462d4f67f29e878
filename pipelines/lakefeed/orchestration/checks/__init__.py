"""Checks: declaration, databases, anomalies in recent loads, and staging against the source.

Imports: `declaration`, `declaration.document`, `declaration.environment`, `loading`,
    `loading.extract`, `loading.forecast`, `loading.log`, `loading.plan`, `loading.raw`,
    `loading.sessions`, `orchestration`, `orchestration.ingest`, `orchestration.log`,
    `orchestration.notifications`, `orchestration.project`, `orchestration.reports`, `source`,
    `source.connections`, `source.inspection`, `transformation.generate`,
    `transformation.warehouse`, `transformation.warehouse.base`.
Public: `anomaly_check`, `audit`, `check`, `delete_costs`, `warehouse_check`.
"""
