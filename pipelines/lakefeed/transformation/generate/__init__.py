"""Generates the dbt files: staging and history models, their tests and YAML.

Imports: `declaration`, `declaration.document`, `source`, `source.inspection`,
    `transformation`, `transformation.targets`.
Public: `data_test_validation`, `data_tests`, `dbt_packages`, `generated_files`,
    `history_models`, `staging_models`.
"""
