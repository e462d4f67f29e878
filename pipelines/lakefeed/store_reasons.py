"""What is wrong with an object store, and what to do about it, whichever library says so."""

from __future__ import annotations

import re

from lakefeed.errors import StorageFailed

INTACT = "committed loads and the published warehouse are intact"

_KEYS = "check the credentials (docs/object-store.md)"
_AGAIN = f"run again in a while; {INTACT}"
_BUCKET = "create it, or correct `raw: {url: …}` in sources.yaml"
_BUSY = ("the store is too busy, after several attempts", _AGAIN)
_FAILED = ("the store failed, after several attempts", _AGAIN)
_DENIED = (
    "access denied",
    "use a key that may list, read, write and delete files there",
)
UNREACHABLE = (
    "the store can't be reached",
    f"check the network and the endpoint (AWS_ENDPOINT_URL or `endpoint_url`); {INTACT}",
)
NO_BUCKET = ("the bucket doesn't exist", _BUCKET)

# By the code that a store answers with (S3 and its like, or Azure), or the name of an exception.
REASONS = {
    "NoSuchBucket": NO_BUCKET,
    "ContainerNotFound": NO_BUCKET,
    "InvalidAccessKeyId": ("the store doesn't know the access key", _KEYS),
    "SignatureDoesNotMatch": ("the secret key isn't that of the access key", _KEYS),
    "AuthenticationFailed": ("the store rejects the credentials", _KEYS),
    "AccessDenied": _DENIED,
    "AuthorizationFailure": _DENIED,
    "AuthorizationPermissionMismatch": _DENIED,
    "403": _DENIED,
    "AllAccessDisabled": _DENIED,
    "ExpiredToken": ("the credentials have expired", f"renew them, then run again; {INTACT}"),
    "InvalidToken": ("the store rejects the session token", _KEYS),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "set the clock"),
    "SlowDown": _BUSY,
    "ServerBusy": _BUSY,
    "ServiceUnavailable": _BUSY,
    "429": _BUSY,
    "503": _BUSY,
    "RequestLimitExceeded": _BUSY,
    "Throttling": _BUSY,
    "InternalError": _FAILED,
    "500": _FAILED,
    "EndpointConnectionError": UNREACHABLE,
    "ConnectTimeoutError": UNREACHABLE,
    "ReadTimeoutError": UNREACHABLE,
    "ConnectionClosedError": UNREACHABLE,
    "ClientConnectorError": UNREACHABLE,
    "ServiceRequestError": UNREACHABLE,
    "NoCredentialsError": ("no credentials were found", _KEYS),
    "TokenRetrievalError": ("the credentials can't be renewed", _KEYS),
    "CredentialRetrievalError": ("the credentials can't be renewed", _KEYS),
    "ClientAuthenticationError": ("the store rejects the credentials", _KEYS),
}

# DuckDB's messages (https://github.com/duckdb/duckdb-httpfs), with or without the store's code.
_STATUS = re.compile(r"\bHTTP (?:code )?(\d{3})\b")
_NOT_REACHED = re.compile(r"\berror for HTTP [A-Z]+ to ")
_CODE = re.compile(rf"^({'|'.join(name for name in REASONS if name.isalpha())}):", re.MULTILINE)
_PLACE = re.compile(r"\b(?:https?|s3a?|az|abfss?)://[^\s'?]+")


def store_error_in(message: str) -> StorageFailed | None:
    """A message of DuckDB's about an object store as an error; None if it is about none."""
    code, status = _CODE.search(message), _STATUS.search(message)
    reason = REASONS.get(code[1]) if code else None
    if reason is None and status:
        reason = REASONS.get(status[1])
    if reason is None and _NOT_REACHED.search(message):
        reason = UNREACHABLE
    place = _PLACE.search(message)
    return StorageFailed(reason[0], where=place[0], do=reason[1]) if reason and place else None
