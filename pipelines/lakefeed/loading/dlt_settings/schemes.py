"""The kinds of object stores, by the scheme of a URL."""

from __future__ import annotations

from lakefeed.declaration.project import Location

_KINDS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl", "azure"), "az"),
}

# DuckDB's names for schemes that it doesn't know.
_FOR_DUCKDB = {"abfs": "abfss", "adl": "abfss"}


def scheme_of(raw: Location) -> str | None:
    """`s3`, `gs` or `az` for the URL of a store of that kind; None for any other."""
    return _KINDS.get(raw.url.partition("://")[0])


def duckdb_url(raw: Location) -> str:
    """The raw layer's path or URL as DuckDB takes it."""
    scheme, separator, rest = raw.url.partition("://")
    return f"{_FOR_DUCKDB.get(scheme, scheme)}{separator}{rest}".rstrip("/")
