"""Prints, of the DuckDB that runs this, its version and a digest of the rows of every relation."""

from __future__ import annotations

import hashlib
import json
import sys

import duckdb

# The counter of builds, which a rebuild begins again, and the times of runs.
IGNORED = ("_staged_batch",)

with duckdb.connect(sys.argv[1], read_only=True) as session:
    session.execute("set timezone = 'UTC'")
    relations = session.execute(
        "select table_schema, table_name from information_schema.tables order by all"
    ).fetchall()
    digests = {}
    for schema, name in relations:
        described = session.execute(f'describe "{schema}"."{name}"').fetchall()
        columns = [column for column, *_ in described if column not in IGNORED]
        # As text: the objects that Python gets of a value may differ by version.
        names = ", ".join(f'"{column}"::varchar' for column in columns)
        rows = session.execute(f'select {names} from "{schema}"."{name}" order by all').fetchall()
        digest = hashlib.sha256(repr((described, rows)).encode()).hexdigest()
        digests[f"{schema}.{name}"] = [len(rows), digest]
print(json.dumps({"version": duckdb.__version__, "relations": digests}))  # noqa: T201
