"""Where a new project keeps raw and builds its warehouse, if not in files of its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DUCKDB_FILE = "duckdb"


@dataclass(frozen=True)
class Elsewhere:
    """What a project with another warehouse than a file declares, and needs before its first run.

    Attributes:
        text: its lines of `sources.yaml`.
        extras: of Lakefeed's package.
        to_do: what its user does before the first run.
    """

    text: str
    extras: tuple[str, ...]
    to_do: str


_SPARK = Elsewhere(
    text="""\
# Raw files, where all executors of Spark read them: name your bucket (docs/object-store.md).
raw: {url: s3://bucket/raw}

# Iceberg tables that Spark builds (docs/spark.md says what its server needs).
warehouse:
  type: spark
  remote: ${SPARK_REMOTE}    # a Spark Connect server, sc://host:15002; or thrift://user@host:10000
  catalog: lake              # the Iceberg catalog: `spark.sql.catalog.lake` in its settings
  keep: 3                    # previous versions, for `lakefeed rollback`

""",
    extras=("spark", "s3"),
    to_do="Name your bucket and your catalog in sources.yaml, and the server in the variable\n"
    "SPARK_REMOTE, in .env or the environment. Then:",
)
_DUCKLAKE = Elsewhere(
    text="""\
# Raw files, where all machines read them: name your bucket (docs/object-store.md).
raw: {url: s3://bucket/raw}

# A DuckLake: tables in the store, and their catalogue in PostgreSQL (docs/ducklake.md).
warehouse:
  type: ducklake
  catalog_url: ${LAKE_CATALOG_URL}    # a PostgreSQL database of its own, empty at first
  data_url: s3://bucket/lake          # where the tables' files are; it can't be changed later
  keep: 3                             # previous versions, for `lakefeed rollback`

""",
    extras=("ducklake", "s3"),
    to_do="Name your bucket in sources.yaml, and the catalogue's database in the variable "
    "LAKE_CATALOG_URL,\nin .env or the environment. Then:",
)
_SNOWFLAKE = Elsewhere(
    text="""\
# Raw files, where Snowflake reads them by a stage: name your bucket (docs/object-store.md).
raw: {url: s3://bucket/raw}

# A database in Snowflake (docs/snowflake.md says what to create there).
warehouse:
  type: snowflake
  url: ${SNOWFLAKE_URL}      # snowflake://user@organization-account?warehouse=LOADING&role=LAKEFEED
  database: ANALYTICS        # of its own: its schema PUBLIC is replaced by each publication
  stage: LANDING.RAW         # an external stage whose URL has the raw files
  keep: 3                    # previous versions, for `lakefeed rollback`

""",
    extras=("snowflake", "s3"),
    to_do="Name your bucket, database and stage in sources.yaml, and the account in the variable "
    "SNOWFLAKE_URL,\nin .env or the environment. Then:",
)
_BIGQUERY = Elsewhere(
    text="""\
# Raw files, where BigQuery loads them from: name your bucket (docs/object-store.md).
raw: {url: gs://bucket/raw}

# Datasets in Google BigQuery (docs/bigquery.md says what its account needs).
warehouse:
  type: bigquery
  project: my-project    # one of Google Cloud, whose datasets are this warehouse's alone
  location: EU           # where the bucket is, too; it can't be changed later
  keep: 3                # previous versions, for `lakefeed rollback`

""",
    extras=("bigquery", "gs"),
    to_do="Name your bucket, its location and your project in sources.yaml. Then:",
)
# By the type of the warehouse. One that is a file needs no line.
ELSEWHERE: Mapping[str, Elsewhere] = {
    "ducklake": _DUCKLAKE,
    "spark": _SPARK,
    "snowflake": _SNOWFLAKE,
    "bigquery": _BIGQUERY,
}
