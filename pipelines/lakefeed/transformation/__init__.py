"""From raw to staging to marts: generated dbt files, dbt itself and the warehouse.

Imports: `declaration`.
Public: `dataset`, `kept_models`, `manifest`, `model_names`.
"""
