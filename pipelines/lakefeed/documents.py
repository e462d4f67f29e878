"""Documents that outlive the version that wrote them: dataclasses kept as JSON, with their format.

`"format": "1.1"` says how a document is to be read. A new minor version adds fields, which earlier
readers ignore, and which have their defaults where they are missing. A new major version changes
what was there, so that earlier readers refuse it. A document without a version has the oldest
format. docs/formats.md lists every kind.
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
    """One kind of document: the dataclass that it keeps, and the version in which it is written.

    Args:
        name: what people call it: `load manifest`.
        version: a minor version more with each field that is added, a major one more where what
            was there changes, a default included.
        brief: leaves out fields that have their default.
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
        """The document as JSON, of the present version."""
        fields = _adapter(self.kind).dump_python(document, exclude_defaults=self._brief)
        fields["format"] = self.version
        return json.dumps(fields, default=dt.datetime.isoformat, indent=self._indent)

    def read(self, text: str | bytes, where: str) -> T:
        """The document in this text. Fields that this version lacks are ignored.

        Args:
            where: the file, for the error.

        Raises:
            NewerFormat: a newer version wrote it, and it would be misread.
            ValueError: it is no such document.
        """
        return self.from_fields(json.loads(text), where)

    def from_fields(self, fields: Any, where: str) -> T:
        """The same from what the JSON holds."""
        if not isinstance(fields, dict):
            raise ValueError(f"{where} is no {self.name}")
        refuse_newer(self.name, fields.get("format", OLDEST), reads=self.version, where=where)
        return from_fields(self.kind, {"format": OLDEST, **fields})


def refuse_newer(name: str, wrote: object, *, reads: str, where: str) -> None:
    """Holds the format of what was found against the one that this version reads.

    Raises:
        NewerFormat: it is of a newer major version.
    """
    if parts_of(str(wrote))[0] > parts_of(reads)[0]:
        raise NewerFormat(
            f"this {name} was written by a newer Lakefeed (format {wrote}; this one reads {reads})",
            where=where,
            do="upgrade Lakefeed",
        )


def parts_of(version: str) -> tuple[int, ...]:
    """A version as numbers, to be compared."""
    return tuple(map(int, version.split(".")))


def to_fields(document: Any) -> dict[str, Any]:
    """A dataclass as JSON types, for whoever turns them into text."""
    fields: dict[str, Any] = _adapter(type(document)).dump_python(document, mode="json")
    return fields


def from_fields(kind: type[T], fields: Mapping[str, Any]) -> T:
    """A dataclass from its fields as JSON keeps them; fields that this version lacks are ignored.

    Raises:
        ValueError: a field is missing that has no default, or isn't of its type.
    """
    made: T = _adapter(kind).validate_python(fields)
    return made


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Made when it is first needed, and once: to make one costs milliseconds."""
    return _made(kind)


@cache
def _made(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
