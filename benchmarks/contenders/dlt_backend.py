"""dlt as its documentation has it: `sql_database` to Parquet files, with one of its backends.

Runs in the contenders' environment: `dlt_backend.py BACKEND URL FOLDER TABLE…`.
"""

from __future__ import annotations

import sys
from typing import cast

import dlt
from dlt.sources.sql_database import TableBackend, sql_database


def main(backend: str, url: str, folder: str, *tables: str) -> None:
    """Loads the tables into `folder/raw`, after those of a run before."""
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.filesystem(bucket_url=f"file://{folder}/lake"),
        dataset_name="raw",
        pipelines_dir=f"{folder}/.dlt",
    )
    known = cast("TableBackend", backend)
    source = sql_database(
        url,
        schema="public",
        table_names=list(tables),
        backend=known,
        backend_kwargs={"return_type": "arrow"} if backend == "connectorx" else {},
    )
    for resource in source.resources.values():
        resource.apply_hints(incremental=dlt.sources.incremental("updated_at"))
    pipeline.run(source, loader_file_format="parquet", write_disposition="append")


if __name__ == "__main__":
    main(*sys.argv[1:])
