"""Raw to staging to marts: generates the staging models, and is the only runner of dbt."""
