"""Documents that outlive the version that wrote them: dataclasses kept as JSON."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def from_fields(kind: type[T], fields: dict[str, Any]) -> T:
    """A dataclass from its fields as JSON keeps them; fields that this version lacks are ignored.

    Raises:
        ValueError: a field is missing that has no default, or isn't of its type.
    """
    made: T = _adapter(kind).validate_python(fields)  # type: ignore[arg-type]
    return made


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
