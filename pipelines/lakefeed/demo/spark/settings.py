"""The settings that a Spark server needs to serve Lakefeed: Iceberg, its catalogue, and S3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from lakefeed.demo.store import ObjectStore

CATALOGUE = "lake"


@dataclass(frozen=True)
class Place:
    """Where a cluster keeps its tables, and reads raw from.

    `catalogue` is the URL of a PostgreSQL database, over TCP; `warehouse` is a folder, or an s3://
    URL in `store`. `catalogues` are the names of Iceberg catalogues in that database, the first of
    which is the default; the tables of each are below `warehouse`.
    """

    catalogue: str
    warehouse: str
    store: ObjectStore | None = None
    catalogues: tuple[str, ...] = (CATALOGUE,)


def server_settings(place: Place) -> Mapping[str, str]:
    """What a Spark Connect server is started with."""
    settings = {
        **_SESSION,
        "spark.sql.extensions": (
            "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"
        ),
        "spark.sql.defaultCatalog": place.catalogues[0],
        **(_s3a(place.store) if place.store else {}),
    }
    for name in place.catalogues:
        prefix = f"spark.sql.catalog.{name}"
        settings[prefix] = "org.apache.iceberg.spark.SparkCatalog"
        settings |= {f"{prefix}.{key}": value for key, value in _iceberg(place, name).items()}
    return settings


_SESSION = {
    "spark.sql.session.timeZone": "UTC",
    # LEGACY shifts days before 1582-10-15 without an error.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
    "spark.sql.adaptive.enabled": "true",
    # 200 are for a thousand times the rows.
    "spark.sql.shuffle.partitions": "4",
}


def _iceberg(place: Place, name: str) -> Mapping[str, str]:
    """The settings of one catalogue."""
    parts = urlsplit(place.catalogue)
    query = parse_qs(parts.query)
    assert parts.hostname, f"not over TCP: {sorted(query)}"
    return {
        "type": "jdbc",
        "warehouse": f"{place.warehouse}/{name}",
        "uri": f"jdbc:postgresql://{parts.hostname}:{parts.port or 5432}{parts.path}",
        "jdbc.user": unquote(parts.username or ""),
        "jdbc.password": unquote(parts.password or ""),
        # V0, which is the default, has no views.
        "jdbc.schema-version": "V1",
        # Readers would look for a published snapshot in what they knew of the table before.
        "cache-enabled": "false",
        # A connection that PostgreSQL has ended, such as an idle one, is opened again.
        "retryable_status_codes": "57P01,57P05",
        **(_s3(place.store) if place.store else {}),
    }


def _s3(store: ObjectStore) -> Mapping[str, str]:
    """Iceberg has a client of its own for its tables."""
    return {
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.endpoint": store.endpoint,
        "s3.path-style-access": "true",
        "s3.access-key-id": store.key,
        "s3.secret-access-key": store.secret,
        "client.region": "us-east-1",
    }


def _s3a(store: ObjectStore) -> Mapping[str, str]:
    """Raw is read by Hadoop's client, at s3a:// URLs."""
    return {
        "spark.hadoop.fs.s3a.endpoint": store.endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.access.key": store.key,
        "spark.hadoop.fs.s3a.secret.key": store.secret,
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
    }
