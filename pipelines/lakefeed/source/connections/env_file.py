"""The project's `.env`: what it says to Lakefeed, and where it says something else to Compose."""

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

# As compose-go has it (dotenv/parser.go, template/template.go).
_ESCAPE = re.compile(r'\\([abfnrtv$"\\])')
_ESCAPED = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    # The variables are looked for afterwards.
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
    """A line that Compose reads otherwise; `remedy` is how to write it for both."""

    line: int
    name: str
    remedy: str

    def __str__(self) -> str:
        return (
            f".env:{self.line}: Docker Compose reads {self.name} otherwise than Lakefeed does; "
            f"{self.remedy}"
        )


def read_variables(path: Path) -> dict[str, str | None]:
    """The variables that the file sets; none where there is no file.

    `${NAME}` stands for another variable, but not within single quotes.

    Raises:
        DeclarationError: it isn't text in UTF-8.
    """
    known: dict[str, str | None] = {}
    for binding in _bindings(path):
        if binding.key:
            known[binding.key] = _as_we_read(binding, {**os.environ, **known})
    return known


def disagreements(path: Path) -> Iterator[Disagreement]:
    """The lines whose values are others to Compose, which hands the file to its containers."""
    for binding in _bindings(path):
        if binding.error:
            yield Disagreement(_line_of(binding), "this line", "write it as NAME='value'")
        elif binding.key and binding.value is not None:
            ours = _as_we_read(binding, _Names())
            if ours != _as_compose_reads(_written(binding)):
                remedy = _remedy(binding.key, ours or "")
                yield Disagreement(_line_of(binding), binding.key, remedy)


class _Names(dict[str, str | None]):
    """In which each variable has its own name as its value, so that ways of reading compare."""

    def get(self, name: str, _default: object = None) -> str:
        return f"\0{name}\0"


def _bindings(path: Path) -> list[Binding]:
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DeclarationError(
            "expected text in UTF-8", where=str(path), do="save it in UTF-8"
        ) from None
    return list(parse_stream(io.StringIO(text)))


def _as_we_read(binding: Binding, variables: Mapping[str, str | None]) -> str | None:
    if binding.value is None or _written(binding).startswith("'"):
        return binding.value
    return "".join(atom.resolve(variables) for atom in parse_variables(binding.value))


def _as_compose_reads(written: str) -> str | None:
    """The value of what stands behind `NAME=`; None where Compose refuses the file."""
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
        f"write it in single quotes, {name}='…', and in a URL the signs that quotes don't help "
        "as %24 ($), %27 (') and %5C (\\)"
    )


def _written(binding: Binding) -> str:
    return binding.original.string.partition("=")[2].lstrip(" \t")


def _line_of(binding: Binding) -> int:
    """Blank lines before it belong to a binding's text."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
