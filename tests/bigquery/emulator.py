"""Runs bqemulator as a process, with what it lacks: `python -m … PORT STATEMENTS`.

Supplied here, on the emulator's side: load jobs match Parquet's columns by name, ignore those that
the table doesn't have, read UUIDs as bytes, and fetch `gs://` from an emulator of the store. Tables
tell when their rows were changed, and views their queries; a clone may replace a table.

What it doesn't show is in docs/bigquery.md.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import quote

_CHANGES = re.compile(
    r"\b(?:merge into|insert into|update|delete from)\s+(?:`[\w-]+`\.)?`?(\w+)`?\.`?(\w+)`?"
)
_CLONES = re.compile(r"create or replace table (\S+) clone ")
_DOWNLOADED = Path(mkdtemp())


def fetched(uri: str, context: object) -> str:
    """The path of a copy of an object."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    store = os.environ["STORAGE_EMULATOR_HOST"]
    url = f"{store}/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
    copy = _DOWNLOADED / quote(f"{bucket}/{name}", safe="")
    if not copy.exists():
        with urllib.request.urlopen(url) as answer:
            copy.write_bytes(answer.read())
    return str(copy)


def load_by_name(path: str, target: str, context: Any) -> None:
    """Inserts a file's columns into those of the same names."""
    execute: Callable[..., Any] = context.engine.execute
    wanted = [row[0] for row in execute(f"describe {target}").fetchall()]
    found = execute("describe select * from read_parquet(?)", [path]).fetchall()
    kinds = {name: kind for name, kind, *_ in found}
    names = [name for name in wanted if name in kinds]
    listed = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(
        f"""unhex(replace("{name}"::varchar, '-', ''))""" if kinds[name] == "UUID" else f'"{name}"'
        for name in names
    )
    execute(f"insert into {target} ({listed}) select {values} from read_parquet(?)", [path])


def recording(execute: Callable[..., Any], file: Path) -> Callable[..., Any]:
    """Runs queries, and writes each to a file, with the tables that it may name."""

    async def run(project: str, job: str, sql: str, parameters: Any, context: Any, **o: Any) -> Any:
        tables = {
            f"{dataset.dataset_id}.{table.table_id}": [
                [field.name, field.type] for field in table.schema_.fields
            ]
            for dataset in context.catalog.list_datasets(project)
            for table in context.catalog.list_tables(project, dataset.dataset_id)
        }
        with file.open("a", encoding="utf-8") as written:
            json.dump({"project": project, "sql": sql, "tables": tables}, written)
            written.write("\n")
        if replaced := _CLONES.match(sql):
            dropped = f"drop table if exists {replaced[1]}"
            await execute(project, f"{job}_dropped", dropped, None, context)
        done = await execute(project, job, sql, parameters, context, **o)
        if changed := _CHANGES.search(sql):
            table = context.catalog.get_table(project, *changed.groups())
            now = {"last_modified_time": dt.datetime.now(dt.UTC)}
            if table is not None:
                context.catalog.update_table(table.model_copy(update=now))
        return done

    return run


def with_query(shown: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """What the API says of a table, with a view's query."""

    def show(table: Any) -> dict[str, Any]:
        query = {"view": {"query": table.view_query, "useLegacySql": False}}
        return shown(table) | (query if table.view_query else {})

    return show


def main(port: str, statements: str) -> None:
    from bqemulator.api.routes import jobs, tables
    from bqemulator.cli import main as run
    from bqemulator.jobs import executor
    from bqemulator.storage.engine import DuckDBEngine

    jobs.execute_query_job = recording(executor.execute_query_job, Path(statements))
    tables._table_to_rest = with_query(tables._table_to_rest)
    # It would download an extension for geography.
    DuckDBEngine._load_spatial = lambda _: None
    os.environ["BQEMU_ENABLE_FORMAT_EXTENSIONS"] = "false"
    executor._resolve_uri = fetched
    executor._LOAD_FORMAT_HANDLERS["PARQUET"] = load_by_name
    sys.argv = ["bqemulator", "start", "--ephemeral", "--rest-port", port, "--grpc-port", "0"]
    run()


if __name__ == "__main__":
    main(*sys.argv[1:])
