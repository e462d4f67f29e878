"""Messages that many tables share are printed once, with the names of the other tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefeed.wording import counted

if TYPE_CHECKING:
    from lakefeed.declaration.table import Table
    from lakefeed.orchestration.reports.run_report import TableReport

_LINE = re.compile(r"sources\.yaml:\d+(:\d+)?")
# Fewer lines than these are clearer one by one.
_FEWEST_GROUPED = 3
_MOST_NAMED = 5


@dataclass(frozen=True)
class Message:
    """A text, the table it is about (None: no single one), and patterns of that table's names."""

    text: str
    table: str | None = None
    spellings: tuple[str, ...] = ()

    @property
    def pattern(self) -> str:
        """The text without the table's names and line numbers."""
        text = self.text
        for name in self.spellings:
            text = re.sub(rf"(?<!\w){name}(?!\w)", "…", text)
        return _LINE.sub("…", text)


def of_failures(failures: Iterable[TableReport]) -> list[Message]:
    """The errors of failed tables."""
    return [
        Message(str(table.error), table.name, (_in_any_schema(table.name.partition(".")[2]),))
        for table in failures
    ]


def _in_any_schema(name: str) -> str:
    return rf"\w+\.{re.escape(name)}"


def of_check(texts: Iterable[str], tables: Sequence[Table]) -> list[Message]:
    """The findings of a check, each about the first table that it names, if any."""
    known = {name: table for table in tables for name in (table.shown, table.qualified)}
    names = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    named = re.compile(rf"(?<!\w)({names})(?!\w)")
    messages = []
    for text in texts:
        found = named.search(text) if known else None
        table = known[found[1]] if found else None
        spellings = (re.escape(table.shown), re.escape(table.qualified)) if table else ()
        messages.append(Message(text, table.shown if table else None, spellings))
    return messages


def grouped(messages: Iterable[Message]) -> Iterator[str]:
    """The texts in their order, without those that differ from an earlier one by table alone.

    The names of their tables follow the text that is kept.
    """
    alike: dict[str, list[Message]] = {}
    for message in messages:
        alike.setdefault(message.pattern, []).append(message)
    for group in alike.values():
        texts = list(dict.fromkeys(message.text for message in group))
        others = list(dict.fromkeys(message.table for message in group[1:] if message.table))
        if len(group) < _FEWEST_GROUPED or not others:
            yield from texts
        else:
            yield f"{texts[0]}\n  same for {_listed(others)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    tables = counted(len(names), "other table")
    return f"{tables}: {', '.join(names[:_MOST_NAMED])}{more}"
