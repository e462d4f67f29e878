"""Errors of object stores as StorageFailed: which store, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lakefeed.declaration.project import Location
from lakefeed.errors import StorageFailed
from lakefeed.loading.dlt_settings.schemes import scheme_of
from lakefeed.store_reasons import NO_BUCKET, REASONS

_OTHERWISE = "check the credentials (docs/object-store.md)"
# The condition of a write wasn't met, or another write on the same condition is under way.
_TAKEN = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")


def store_error(error: BaseException, raw: Location) -> StorageFailed | None:
    """The error as StorageFailed, if it is of the store rather than of one file in it."""
    for cause in _causes(error):
        if isinstance(cause, StorageFailed):
            return cause
        known = REASONS.get(_code_of(cause)) or REASONS.get(type(cause).__name__)
        if known:
            what, remedy = known
            return StorageFailed(what, where=raw.url, do=remedy)
    if isinstance(error, (FileNotFoundError, FileExistsError, NotADirectoryError)):
        return None
    if isinstance(error, OSError):
        text = " ".join(str(error).split()) or type(error).__name__
        return StorageFailed(f"the store refused: {text}", where=raw.url, do=_OTHERWISE)
    return None


def no_bucket(raw: Location) -> StorageFailed:
    """The error that there is nowhere to write to."""
    what, remedy = NO_BUCKET
    return StorageFailed(what, where=raw.url, do=remedy)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _code_of(error: BaseException) -> str:
    """S3's code of an answer (botocore), or Azure's; empty for other errors."""
    answer: Any = getattr(error, "response", None)
    if isinstance(answer, dict):
        return str(answer.get("Error", {}).get("Code", ""))
    return str(getattr(error, "error_code", "") or "")


class NamedErrors:
    """A file system of fsspec's that raises StorageFailed for what is wrong with the store."""

    def __init__(self, filesystem: Any, raw: Location) -> None:
        self._filesystem = filesystem
        self._raw = raw

    def cat_file(self, path: str) -> bytes:
        """The content of a file, by one request: s3fs would ask for its size first."""
        options = {"max_concurrency": 1} if scheme_of(self._raw) == "s3" else {}
        return bytes(self.__getattr__("cat_file")(path, **options))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._filesystem, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            try:
                return found(*arguments, **options)
            except Exception as error:
                if any(_code_of(cause) in _TAKEN for cause in _causes(error)):
                    raise FileExistsError(*arguments[:1]) from error
                if named := store_error(error, self._raw):
                    raise named from error
                raise

        return call
