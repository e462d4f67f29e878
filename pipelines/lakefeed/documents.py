"""Dataclasses stored as JSON documents with a format version, for later versions to read.

A new minor version of a format adds fields: earlier readers ignore them, and missing fields have
their defaults. A new major version changes existing fields, so earlier readers refuse the document.
A document without a version has the oldest format. docs/formats.md lists all kinds.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from lakefeed.errors import NewerFormat

OLDEST = "1.0"

T = TypeVar("T")


class Format(Generic[T]):
    """One kind of document: the dataclass that it stores and the version that is written.

    Args:
        name: the name in messages, such as `load manifest`.
        version: raise the minor version for each new field, the major version for a change of
            existing fields, including a default.
        brief: omit fields that have their default.
    """

    def __init__(
        self,
        kind: type[T],
        name: str,
        version: str = OLDEST,
        *,
        brief: bool = False,
        indent: int | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.version = version
        self._brief = brief
        self._indent = indent

    def text(self, document: T) -> str:
        """The document as JSON in the current format."""
        fields = _adapter(self.kind).dump_python(document, exclude_defaults=self._brief)
        fields["format"] = self.version
        return json.dumps(fields, default=dt.datetime.isoformat, indent=self._indent)

    def read(self, text: str | bytes, where: str) -> T:
        """Parses a document. Unknown fields are ignored.

        Args:
            where: the file, for the error.

        Raises:
            NewerFormat: the document has a newer major version.
            ValueError: it isn't a document of this kind.
        """
        return self.from_fields(json.loads(text), where)

    def from_fields(self, fields: Any, where: str) -> T:
        """Like `read`, from parsed JSON."""
        if not isinstance(fields, dict):
            raise ValueError(f"{where} isn't a {self.name}")
        refuse_newer(self.name, fields.get("format", OLDEST), reads=self.version, where=where)
        return from_fields(self.kind, {"format": OLDEST, **fields})


def refuse_newer(name: str, wrote: object, *, reads: str, where: str) -> None:
    """Refuses a format that this version of Lakefeed can't read.

    Raises:
        NewerFormat: it has a newer major version.
    """
    if parts_of(str(wrote))[0] > parts_of(reads)[0]:
        raise NewerFormat(
            f"this {name} was written by a newer version of Lakefeed (format {wrote}; this one "
            f"reads {reads})",
            where=where,
            do="upgrade Lakefeed",
            wrote=str(wrote),
        )


def parts_of(version: str) -> tuple[int, ...]:
    """A version as numbers, for comparison."""
    return tuple(map(int, version.split(".")))


def to_fields(document: Any) -> dict[str, Any]:
    """A dataclass as JSON types."""
    fields: dict[str, Any] = _adapter(type(document)).dump_python(document, mode="json")
    return fields


def from_fields(kind: type[T], fields: Mapping[str, Any]) -> T:
    """A dataclass from its fields as parsed JSON. Unknown fields are ignored.

    Raises:
        ValueError: a field without default is missing, or a field has the wrong type.
    """
    made: T = _adapter(kind).validate_python(fields)
    return made


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Created once, when first needed, since that takes milliseconds."""
    return _made(kind)


@cache
def _made(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
