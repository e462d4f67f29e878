"""Gives a DuckDB instance access to an object store.

DuckDB has the keys in memory only, as a secret for one URL: in no database file, and in
no statement that anything logs. Keys that expire are those of the moment at which access is given;
botocore renews them fifteen minutes before they end, so access is given again before each use.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.declaration.project import Location
from lakefeed.errors import ExtraMissing
from lakefeed.loading.dlt_settings.schemes import duckdb_url, scheme_of
from lakefeed.loading.dlt_settings.store_settings import store_settings
from lakefeed.loading.object_store.filesystem import require_filesystem, store_filesystem
from lakefeed.sql import literal

_EXTENSIONS = {"s3": "httpfs", "az": "azure"}
# One at a time: botocore's sessions aren't meant for several threads.
_lock = threading.Lock()


class Session(Protocol):
    """A DuckDB session, whoever opened it."""

    def execute(self, query: str, parameters: Any = None, /) -> Any: ...


def give_access(engine: DuckDBPyConnection, place: Location) -> None:
    """Lets a DuckDB instance reach a place in an object store; does nothing for a local folder.

    Raises:
        ExtraMissing: the package for this kind of store isn't installed.
        DeclarationError: no credentials were found, or DuckDB can't use them.
    """
    if not place.is_local and scheme_of(place) == "gs":
        require_filesystem(place)
        # DuckDB itself takes only HMAC keys, which Google's own libraries don't.
        _give_filesystem(engine, place)
    else:
        give_secret(engine, place)


def give_secret(engine: Session, place: Location, *, name: str = "raw") -> None:
    """The same, for a place that DuckDB itself can reach: on S3 or Azure.

    Args:
        name: what tells this secret from those for other places.

    Raises:
        ExtraMissing, DeclarationError: as `give_access`.
    """
    kind = None if place.is_local else scheme_of(place)
    if kind not in _EXTENSIONS:
        return
    require_filesystem(place)
    _load_extension(engine, _EXTENSIONS[kind])
    with _lock:
        options = _s3_options(place) if kind == "s3" else _azure_options(place)
    listed = ", ".join(f"{name} {value}" for name, value in options.items())
    engine.execute(f"create or replace temporary secret lakefeed_{name} ({listed})")


def extension_file(name: str) -> Path:
    """The file of a DuckDB extension that a wheel has brought.

    Raises:
        ImportError: no wheel has brought it.
        FileNotFoundError: the wheel is for another version of DuckDB.
    """
    version = f"v{duckdb.__version__}"
    folder = Path(str(files(f"duckdb_extension_{name}"))) / "extensions" / version
    found = next(folder.glob("*.duckdb_extension"), None)
    if found is None:
        raise FileNotFoundError(f"duckdb-extension-{name} has no extension for DuckDB {version}")
    return found


def _load_extension(engine: Session, name: str) -> None:
    loaded = engine.execute(
        "select loaded from duckdb_extensions() where extension_name = ?", [name]
    ).fetchone()
    if loaded and loaded[0]:
        return
    try:
        file = extension_file(name)
    except FileNotFoundError as error:
        raise ExtraMissing(
            f"DuckDB can't reach the object store: {error}",
            do=f"install the one of this version: pip install duckdb-extension-{name}=="
            f"{duckdb.__version__}",
        ) from None
    engine.execute(f"load {literal(str(file))}")
    if name == "httpfs":
        # Files of rows never change, so that asking for their size once is enough.
        engine.execute("set global enable_http_metadata_cache = true")


def _give_filesystem(engine: DuckDBPyConnection, place: Location) -> None:
    filesystem, _ = store_filesystem(place)
    if not engine.filesystem_is_registered("gs"):
        engine.register_filesystem(filesystem)


def _s3_options(place: Location) -> dict[str, str]:
    credentials: Any = store_settings(place).credentials
    keys = credentials.to_session_credentials()
    at = _s3_address(place, credentials)
    options = {
        "type": "s3",
        "provider": "config",
        "scope": literal(duckdb_url(place)),
        "key_id": literal(keys["aws_access_key_id"] or ""),
        "secret": literal(keys["aws_secret_access_key"] or ""),
        "region": literal(at.region),
    }
    if keys["aws_session_token"]:
        options["session_token"] = literal(keys["aws_session_token"])
    if not at.is_amazon:
        options["endpoint"] = literal(at.url.netloc + at.url.path.rstrip("/"))
        options["use_ssl"] = str(at.url.scheme == "https").lower()
        options["url_style"] = literal(at.style)
    return options


@dataclass(frozen=True)
class _Address:
    """Where a store that speaks S3 is. `style` is how addresses name the bucket."""

    url: SplitResult
    region: str
    style: str

    @property
    def is_amazon(self) -> bool:
        return (self.url.hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _s3_address(place: Location, credentials: Any) -> _Address:
    """The address, as botocore finds it in the settings, in variables and in profiles."""
    # Another client would take a tenth of a second, and 17 MB.
    meta = store_filesystem(place)[0].connect().meta
    configured = (meta.config.s3 or {}).get("addressing_style")
    is_virtual = credentials.s3_url_style == "vhost" or configured == "virtual"
    style = "vhost" if is_virtual else "path"
    return _Address(urlsplit(meta.endpoint_url), meta.region_name or "us-east-1", style)


def _azure_options(place: Location) -> dict[str, str]:
    credentials: Any = store_settings(place).credentials
    account = credentials.azure_storage_account_name
    options = {"type": "azure", "scope": literal(duckdb_url(place))}
    if connection_string := store_filesystem(place)[0].connection_string:
        # Of AZURE_STORAGE_CONNECTION_STRING, which the file system prefers to other credentials.
        return {**options, "provider": "config", "connection_string": literal(connection_string)}
    key = getattr(credentials, "azure_storage_account_key", None)
    sas = getattr(credentials, "azure_storage_sas_token", None)
    if getattr(credentials, "azure_client_secret", None):
        return {
            **options,
            "provider": "service_principal",
            "tenant_id": literal(credentials.azure_tenant_id),
            "client_id": literal(credentials.azure_client_id),
            "client_secret": literal(credentials.azure_client_secret),
            "account_name": literal(account),
        }
    if not (key or sas):
        return {**options, "provider": "credential_chain", "account_name": literal(account)}
    host = credentials.azure_account_host or f"{account}.blob.core.windows.net"
    end = f"SharedAccessSignature={sas.lstrip('?')}" if sas else f"AccountKey={key}"
    text = f"BlobEndpoint=https://{host};AccountName={account};{end}"
    return {**options, "provider": "config", "connection_string": literal(text)}
