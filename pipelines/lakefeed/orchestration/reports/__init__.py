"""Reports as plain data: runs, tests, schema changes and late rows over time.

Imports: `declaration`, `declaration.environment`, `loading.plan`, `loading.raw`,
    `transformation.dbt_adapter`, `transformation.warehouse.base`.
Public: `data_test_history`, `lateness`, `listener`, `run_history`, `run_report`,
    `schema_history`.
"""
