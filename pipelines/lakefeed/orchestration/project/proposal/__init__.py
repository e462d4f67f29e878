"""What `init` proposes to declare: the tables of a database, their keys and cursors, and why.

Imports: `declaration`, `declaration.document`, `declaration.models`, `loading.plan`,
    `orchestration.project.other_tools`, `source`, `source.connections`, `source.inspection`.
Public: `carried_proposal`, `cursor_inference`, `declaration_text`, `query_proposals`,
    `schemas`, `survey`, `table_proposal`, `warehouse_text`.
"""
