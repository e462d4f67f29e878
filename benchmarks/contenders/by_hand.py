"""The same job with dlt and dbt alone, as a good engineer would write it.

Runs in an environment of its own, in the folder that `benchmarks.by_hand` has written:
`by_hand.py URL run [MODEL…]`, or `by_hand.py URL past RUNS`. One dlt pipeline appends new rows to
Parquet files, with a lag as long as Lakefeed's lookback; plain `dbt build` follows. If models are
named, dbt builds only those.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dlt
from dlt.sources.sql_database import sql_database

_LAG_SECONDS = 1_800
_RUNS_A_BUILD = 10


def load(url: str, tables: list[str]) -> None:
    """Appends new rows of all tables to `lake/raw`."""
    pipeline = dlt.pipeline(
        "by_hand",
        destination=dlt.destinations.filesystem(bucket_url=f"file://{Path.cwd()}/lake"),
        dataset_name="raw",
        pipelines_dir=f"{Path.cwd()}/.dlt",
    )
    # The fastest of dlt's backends that keeps numerics as they are.
    source = sql_database(url, schema="public", table_names=tables, backend="pyarrow")
    for resource in source.resources.values():
        resource.apply_hints(
            incremental=dlt.sources.incremental("updated_at", lag=_LAG_SECONDS),
        )
    pipeline.run(source, loader_file_format="parquet", write_disposition="append")


def build(models: list[str]) -> int:
    """`dbt build` of the project in `dbt`; its exit code."""
    dbt = Path(sys.executable).with_name("dbt")
    selected = ["--select", *models] if models else []
    command: list[str | Path] = [dbt, "build", "--quiet", "--profiles-dir", ".", *selected]
    return subprocess.run(command, cwd="dbt", check=False).returncode


def past(url: str, tables: list[str], runs: int) -> int:
    """Makes runs, each after ten rows of every table have changed; dbt follows every tenth."""
    import sqlalchemy as sa

    engine = sa.create_engine(url)
    for number in range(1, runs + 1):
        first = number * 10 % 1_000
        with engine.begin() as session:
            for table in tables:
                session.exec_driver_sql(
                    f"update {table} set note = 'run {number}', updated_at = "
                    f"timestamptz '2025-01-01 00:00Z' + {number} * interval '1 h' "
                    f"where id > {first} and id <= {first + 10}"
                )
        load(url, tables)
        if number % _RUNS_A_BUILD == 0 and (code := build([])):
            return code
    return 0


def main(url: str, command: str, *arguments: str) -> int:
    """One run, or a past of many; the exit code."""
    tables = Path("tables").read_text(encoding="utf-8").split()
    if command == "past":
        return past(url, tables, int(arguments[0]))
    load(url, tables)
    return build(list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
