"""Source to raw: the only importer of dlt. Knows nothing of dbt or Airflow."""
