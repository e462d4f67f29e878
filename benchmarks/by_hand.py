"""The project that `contenders/by_hand.py` runs: one dlt pipeline and a plain dbt project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.contender import Copy
from benchmarks.place import Place
from benchmarks.process import Command
from benchmarks.source import Source
from benchmarks.tables import Table

ENVIRONMENT = "by-hand"
_SCRIPT = Path(__file__).parent / "contenders" / "by_hand.py"
_ALONE = {"RUNTIME__DLTHUB_TELEMETRY": "false", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
_PROFILE = """
by_hand:
  target: local
  outputs:
    local: {type: duckdb, path: ../warehouse.duckdb, threads: 1, settings: {TimeZone: UTC}}
"""
_PROJECT = """
name: by_hand
version: 1.0.0
config-version: 2
profile: by_hand
models: {by_hand: {+schema: staging, +materialized: incremental}}
"""
# Of the rows since the newest one staged, less the lag, the newest of each key.
_MODEL = """
{{{{ config(unique_key=['{key}'], incremental_strategy='delete+insert') }}}}

select *
from read_parquet('../lake/raw/{name}/*.parquet', union_by_name = true)
{{% if is_incremental() %}}
where updated_at >= (select max(updated_at) - interval 30 minute from {{{{ this }}}})
{{% endif %}}
qualify row_number() over (partition by {key} order by updated_at desc) = 1
"""


def write_project(root: Path, tables: Sequence[Table]) -> None:
    """Writes the project: a model and two tests for each table, as Lakefeed has them."""
    models = root / "dbt" / "models"
    models.mkdir(parents=True)
    (root / "tables").write_text("\n".join(table.name for table in tables), encoding="utf-8")
    (root / "dbt" / "profiles.yml").write_text(_PROFILE, encoding="utf-8")
    (root / "dbt" / "dbt_project.yml").write_text(_PROJECT, encoding="utf-8")
    described = ["version: 2", "models:"]
    for table in tables:
        (key,) = table.key
        model = _MODEL.format(name=table.name, key=key)
        (models / f"{_model_of(table)}.sql").write_text(model, encoding="utf-8")
        tests = f"columns: [{{name: {key}, data_tests: [not_null, unique]}}]"
        described.append(f"  - {{name: {_model_of(table)}, {tests}}}")
    (models / "models.yml").write_text("\n".join(described), encoding="utf-8")


def run(place: Place, root: Path, source: Source, changed: Sequence[Table]) -> Command:
    """A run of that project; with tables named, dbt builds their models alone."""
    return _command(place, root, source, "run", *map(_model_of, changed))


def past(place: Place, root: Path, source: Source, runs: int) -> Command:
    """So many runs, with rows changed before each."""
    return _command(place, root, source, "past", str(runs))


def staged(root: Path, table: Table) -> Copy:
    """The rows of a table's model."""
    return Copy(f"copies.main_staging.{_model_of(table)}", root / "warehouse.duckdb")


def _command(place: Place, root: Path, source: Source, *arguments: str) -> Command:
    python = place.program(ENVIRONMENT, "python")
    # SQLAlchemy 2.1 takes another driver where none is named.
    url = source.url.replace("postgresql:", "postgresql+psycopg2:")
    return Command([python, _SCRIPT, url, *arguments], root, {"HOME": str(root), **_ALONE})


def _model_of(table: Table) -> str:
    return f"stg_{table.name}"
