"""The `lakefeed` command: each command parses, calls the core and prints.

Imports: `conformance`, `declaration`, `declaration.document`, `declaration.environment`, `demo`,
    `lab`, `loading.dlt_settings`, `orchestration`, `orchestration.build`, `orchestration.checks`,
    `orchestration.impact`, `orchestration.ingest`, `orchestration.inspect`,
    `orchestration.log`, `orchestration.maintenance`, `orchestration.notifications`,
    `orchestration.project`, `orchestration.reports`, `render`, `site`.
"""
