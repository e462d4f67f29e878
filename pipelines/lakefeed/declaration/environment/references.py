"""References to variables in a value: `${NAME}` and `${NAME:-default}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

# As in Compose files, `$${NAME}` is no reference: it stands for the text `${NAME}`.
_REFERENCE = re.compile(r"(\$?)\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

Variables = Mapping[str, str | None]
Lookup = Callable[[], Variables]


# The values that are secrets: they are resolved when a connection is opened, so that everything
# else, such as parsing the DAG, needs none of them. `*` stands for any name or number. A text in
# place of a source, or of the list `notify`, is a mistake: it is told as it is written.
_ON_USE = (
    *(("sources", "*", "connection"), ("warehouse", "catalog_url"), ("warehouse", "remote")),
    ("warehouse", "url"),
    *(("notify", "*"), ("sources", "*"), ("notify",)),
)
# The end of the path of such a value, wherever settings of a table are.
_HASH_KEY = ("columns", "*", "hash", "key")


def resolves_on_use(path: Sequence[str | int]) -> bool:
    """Whether the value at this path of `sources.yaml` is a secret."""
    return _fits(path[-len(_HASH_KEY) :], _HASH_KEY) or any(_fits(path, place) for place in _ON_USE)


def _fits(path: Sequence[str | int], place: Sequence[str]) -> bool:
    return len(path) == len(place) and all(
        name in ("*", part) for name, part in zip(place, path, strict=True)
    )


class Template(str):
    """A value of dbt's profile that dbt renders; all other text is written so that it stays."""


def has_reference(text: str) -> bool:
    """Whether the text has a reference, or the spelling of one that isn't meant as such."""
    return bool(_REFERENCE.search(text))


def is_reference(text: str) -> bool:
    """Whether the text is one reference without a default, and nothing else."""
    match = _REFERENCE.fullmatch(text)
    return match is not None and not match[1] and match[3] is None


def is_optional_reference(text: str) -> bool:
    """Whether the text is one reference, of which an unset variable means none: `${NAME:-}`."""
    match = _REFERENCE.fullmatch(text)
    return match is not None and not match[1] and match[3] == ""


def names_in(text: str) -> list[str]:
    """The variables that the text refers to."""
    return [match[2] for match in _REFERENCE.finditer(text) if not match[1]]


def unset_in(text: str, variables: Variables) -> list[str]:
    """The variables that the text needs, and that are neither set nor have a default."""
    found = [match for match in _REFERENCE.finditer(text) if not match[1] and match[3] is None]
    return [match[2] for match in found if not variables.get(match[2])]


def resolved(text: str, variables: Variables) -> str:
    """The text with values instead of references; a default stands in for an empty value, too."""

    def value(match: re.Match[str]) -> str:
        escaped, name, default = match.groups()
        return match[0][1:] if escaped else variables.get(name) or default or ""

    return _REFERENCE.sub(value, text)


def escaped(text: str) -> str:
    """The text, written so that nothing in it is a reference."""
    return _REFERENCE.sub(lambda match: f"${match[0]}", text)


def with_defaults(text: str, *, without: str = "") -> str:
    """What the text says by itself: defaults instead of references.

    Args:
        without: stands for the value of a reference without a default.
    """
    return _REFERENCE.sub(lambda match: without if match[3] is None else match[3], text)


def for_dbt(text: str) -> Template:
    """The text with references as dbt's files have them: parsing a project needs no value."""

    def call(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        default = (match[3] or "").replace("\\", "\\\\").replace("'", "\\'")
        otherwise = f" or '{default}'" if default else ""
        return f"{{{{ env_var('{match[2]}', ''){otherwise} }}}}"

    return Template(_REFERENCE.sub(call, text))
