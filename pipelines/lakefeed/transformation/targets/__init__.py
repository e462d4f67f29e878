"""What dbt opens for each type of warehouse, and the profile that says so.

Imports: `declaration`, `declaration.environment`, `declaration.models`, `loading.dlt_settings`,
    `loading.object_store`, `source.connections`.
Public: `bigquery`, `duckdb_file`, `ducklake`, `profile`, `schemas`, `snowflake`,
    `snowflake_names`, `spark`, `spark_session`, `spark_views`.
"""
