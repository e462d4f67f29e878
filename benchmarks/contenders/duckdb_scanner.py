"""DuckDB's PostgreSQL scanner by itself, from an attached database to one Parquet file a table.

Runs in the contenders' environment: `duckdb_scanner.py URL FOLDER TABLE…`.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import duckdb


def main(url: str, folder: str, *tables: str) -> None:
    """Copies the tables into `folder`."""
    extension = next(
        Path(str(files("duckdb_extension_postgres_scanner"))).rglob("*.duckdb_extension")
    )
    session = duckdb.connect()
    session.execute(f"load '{extension}'")
    session.execute("set timezone = 'UTC'")
    session.execute("set preserve_insertion_order = false")
    session.execute(f"attach '{url}' as source (type postgres, read_only)")
    for table in tables:
        session.execute(
            f"copy (from source.public.{table}) to '{folder}/{table}.parquet' "
            "(format parquet, compression zstd)"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
