"""How things stand: tables, runs, and the life of one row.

Imports: `declaration`, `loading.raw`, `loading.sessions`, `orchestration`,
    `orchestration.build`, `orchestration.project`, `orchestration.reports`,
    `source.inspection`, `transformation`, `transformation.generate`, `transformation.lineage`,
    `transformation.warehouse`.
Public: `overview`, `status`, `trace`, `version_precedence`.
"""
