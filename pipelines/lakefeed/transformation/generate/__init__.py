"""Generates the dbt files: staging and history models, their tests and YAML.

Imports: `declaration.document`, `declaration.models`, `declaration`, `declaration.environment`,
    `source.inspection`, `source`, `transformation.targets`, `transformation`.
Public: `data_test_validation`, `data_tests`, `dbt_packages`, `edited_columns`, `generated_files`,
    `history_models`, `staged_columns`, `staging_models`.
"""
