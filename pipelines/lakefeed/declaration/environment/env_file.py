"""Reads the project's `.env`, and finds lines that Docker Compose reads differently."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from dotenv.variables import parse_variables

from lakefeed.errors import DeclarationError

# Follows compose-spec/compose-go: dotenv/parser.go and template/template.go. Compose interpolates
# `$` even in env files (docker/compose#11058), which python-dotenv only does for `${NAME}`.
_ESCAPE = re.compile(r'\\([abfnrtv$"\\])')
_ESCAPED = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    # Variables are replaced after this, so that an escaped `$` has to stay escaped.
    "$": "$$",
    '"': '"',
    "\\": "\\",
}
_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<named>[a-z_]\w*)|\{(?P<braced>[a-z_]\w*)(?::?-[^}]*)?\}|(?P<open>\{))",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class Disagreement:
    """A line that Compose reads differently; `remedy` is how to write it for both."""

    file: str
    line: int
    name: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: Docker Compose reads {self.name} differently than Lakefeed; "
            f"{self.remedy}"
        )


def read_variables(path: Path) -> dict[str, str | None]:
    """The variables that the file sets; empty if there is no file.

    `${NAME}` is replaced by another variable's value, except within single quotes.

    Raises:
        DeclarationError: the file isn't valid UTF-8.
    """
    known: dict[str, str | None] = {}
    for binding in _bindings(path):
        if binding.key:
            known[binding.key] = _as_lakefeed_reads(binding, {**os.environ, **known})
    return known


def disagreements(path: Path) -> Iterator[Disagreement]:
    """The lines that Compose, which passes the file to its containers, reads differently."""
    for binding in _bindings(path):
        if binding.error:
            yield Disagreement(
                path.name, _line_of(binding), "this line", "write it as NAME='value'"
            )
        elif binding.key and binding.value is not None:
            ours = _as_lakefeed_reads(binding, _Names())
            if ours != _as_compose_reads(_written(binding)):
                remedy = _remedy(binding.key, ours or "")
                yield Disagreement(path.name, _line_of(binding), binding.key, remedy)


class _Names(dict[str, str | None]):
    """Gives each variable a placeholder as its value, to compare both ways of reading."""

    def get(self, name: str, _default: object = None) -> str:
        return f"\0{name}\0"


def _bindings(path: Path) -> list[Binding]:
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DeclarationError(
            "expected UTF-8 text", where=str(path), do="save it in UTF-8"
        ) from None
    return list(parse_stream(io.StringIO(text)))


def _as_lakefeed_reads(binding: Binding, variables: Mapping[str, str | None]) -> str | None:
    if binding.value is None or _written(binding).startswith("'"):
        return binding.value
    return "".join(atom.resolve(variables) for atom in parse_variables(binding.value))


def _as_compose_reads(written: str) -> str | None:
    """The value that Compose reads from what follows `NAME=`; None if it refuses the file."""
    quote = written[:1]
    if quote not in ("'", '"'):
        return _with_variables(written.split("\n", 1)[0].split(" #", 1)[0].rstrip())
    closed = re.match(rf"{quote}((?:\\.|[^{quote}\\])*){quote}(.*)", written, re.DOTALL)
    behind = closed[2].split("\n", 1)[0].strip() if closed else ""
    if closed is None or (behind and not behind.startswith("#")):
        return None
    value = closed[1].replace(f"\\{quote}", quote) if quote == "'" else closed[1]
    if quote == "'":
        return value
    return _with_variables(_ESCAPE.sub(lambda found: _ESCAPED[found[1]], value))


def _with_variables(value: str) -> str | None:
    def named(found: re.Match[str]) -> str:
        return "$" if found["escaped"] else _Names().get(found["named"] or found["braced"])

    if any(found["open"] for found in _VARIABLE.finditer(value)):
        return None
    return _VARIABLE.sub(named, value)


def _remedy(name: str, value: str) -> str:
    if not re.search(r"['\\\0\n]", value):
        return f"write it in single quotes: {name}='…'"
    return (
        f"write it in single quotes, {name}='…', and in a URL percent-encode $ as %24, ' as %27 "
        "and \\ as %5C"
    )


def _written(binding: Binding) -> str:
    return binding.original.string.partition("=")[2].lstrip(" \t")


def _line_of(binding: Binding) -> int:
    """The line of a binding, whose text begins with the blank lines before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
