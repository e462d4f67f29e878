"""Google's own analyzer of GoogleSQL: whether BigQuery would understand a statement.

It knows names, types and functions, of which emulators built on other engines know little.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Columns = Iterable[tuple[str, str]]

_KINDS = {
    "INT64": "INT64", "INTEGER": "INT64", "FLOAT64": "DOUBLE", "FLOAT": "DOUBLE", "BOOL": "BOOL",
    "BOOLEAN": "BOOL", "STRING": "STRING", "BYTES": "BYTES", "DATE": "DATE", "TIME": "TIME",
    "DATETIME": "DATETIME", "TIMESTAMP": "TIMESTAMP", "NUMERIC": "NUMERIC",
    "BIGNUMERIC": "BIGNUMERIC", "JSON": "JSON",
}  # fmt: skip


def why_refused(sql: str, tables: Mapping[str, Columns], project: str) -> str:
    """Why the analyzer refuses a statement; empty if it doesn't.

    Args:
        tables: the columns with their types, by `dataset.name`.
    """
    from zetasql.api import Analyzer, CatalogBuilder, TableBuilder
    from zetasql.types import (
        AnalyzerOptions,
        LanguageOptions,
        ProductMode,
        TypeKind,
        ZetaSQLBuiltinFunctionOptions,
    )

    language = LanguageOptions.maximum_features()
    language.product_mode = ProductMode.PRODUCT_EXTERNAL
    catalog = CatalogBuilder("bigquery").with_builtin_functions(
        ZetaSQLBuiltinFunctionOptions(language_options=language)
    )
    for name, columns in tables.items():
        table = TableBuilder(name)
        for column, kind in columns:
            if kind in _KINDS:
                table.add_column(column, getattr(TypeKind, f"TYPE_{_KINDS[kind]}"))
        catalog.add_table(table.build())
    analyzer = Analyzer(AnalyzerOptions(language_options=language), catalog.build())
    try:
        analyzer.analyze_statement(named(sql, tables, project))
    except Exception as error:  # noqa: BLE001 - whatever the analyzer raises
        return str(error)
    return ""


def named(sql: str, tables: Mapping[str, Any], project: str) -> str:
    """The statement with each table's name in one part: the catalog has no datasets."""
    sql = sql.replace(f"`{project}`.", "").rstrip().removesuffix(";")
    for name in sorted(tables, key=len, reverse=True):
        dataset, _, table = name.partition(".")
        for written in (f"`{dataset}`.`{table}`", f"`{dataset}`.{table}", f"{dataset}.{table}"):
            sql = sql.replace(written, f"`{name}`")
    return sql.replace("``", "`")
