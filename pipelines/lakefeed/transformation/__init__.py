"""Raw to staging to marts: the generated half of the dbt project, and dbt itself.

Imports: `declaration`.
Public: `manifest`.
"""
