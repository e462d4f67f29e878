"""Messages that many tables share are printed once, with the names of the tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefeed.wording import counted

if TYPE_CHECKING:
    from lakefeed.declaration.table import Table
    from lakefeed.orchestration.inspect.status import TableStatus
    from lakefeed.orchestration.reports.run_report import TableReport

_LINE = re.compile(r"sources\.yaml:\d+(:\d+)?")
_SUBJECT = re.compile(r"…(?: \(…\))?: ")
_HEAD = re.compile(r"([^\s:]+\.[^\s:]+): ")
# Fewer lines than these are clearer one by one.
FEWEST_GROUPED = 3
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

    @property
    def of_any_table(self) -> str:
        """The text after the table's name that it begins with; empty if it names it elsewhere."""
        subject = _SUBJECT.match(self.pattern)
        rest = self.pattern[subject.end() :] if subject else ""
        return "" if "…" in rest else rest


def of_failures(failures: Iterable[TableReport]) -> list[Message]:
    """The errors of failed tables."""
    return [Message(str(table.error), table.name, (_in_any_schema(table),)) for table in failures]


def of_notes(tables: Iterable[TableReport]) -> list[Message]:
    """The notes about tables, each with its table's name."""
    return [
        Message(f"{table.name}: {note}", table.name, (re.escape(table.name), _in_any_schema(table)))
        for table in tables
        for note in table.notes
    ]


def of_last_failures(rows: Iterable[tuple[TableStatus, str]]) -> list[Message]:
    """How the newest loads of tables failed: their states, each with the text."""
    return [Message(text, row.name, (_in_any_schema(row),)) for row, text in rows]


def of_named(texts: Iterable[tuple[str, str]]) -> list[Message]:
    """Texts about tables, each with its table's name."""
    return [Message(f"{name}: {text}", name, (re.escape(name),)) for name, text in texts]


def of_warnings(texts: Iterable[str]) -> list[Message]:
    """Warnings of a run, of which some begin with a table's name."""
    return [
        Message(text, head[1], (re.escape(head[1]),))
        if (head := _HEAD.match(text))
        else Message(text)
        for text in texts
    ]


def _in_any_schema(table: TableReport | TableStatus) -> str:
    return rf"\w+\.{re.escape(table.name.partition('.')[2])}"


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
    """The texts in their order; those that differ by table alone as one, with the tables' names."""
    for group in _alike(messages):
        yield from _told(group)


def repeated(messages: Iterable[Message]) -> Iterator[str]:
    """Of `grouped`, only the texts that several became."""
    for group in _alike(messages):
        if _is_shared(group):
            yield from _told(group)


def _alike(messages: Iterable[Message]) -> Iterable[list[Message]]:
    alike: dict[str, list[Message]] = {}
    for message in messages:
        alike.setdefault(message.pattern, []).append(message)
    return alike.values()


def _is_shared(group: Sequence[Message]) -> bool:
    return len(group) >= FEWEST_GROUPED and len(_tables_of(group)) > 1


def _tables_of(group: Iterable[Message]) -> list[str]:
    return list(dict.fromkeys(message.table for message in group if message.table))


def _told(group: Sequence[Message]) -> Iterator[str]:
    first, tables = group[0], _tables_of(group)
    if not _is_shared(group):
        yield from dict.fromkeys(message.text for message in group)
    elif first.of_any_table:
        yield f"{counted(len(tables), 'table')}: {first.of_any_table}\n  {_listed(tables)}"
    else:
        others = [table for table in tables if table != first.table]
        yield f"{first.text}\n  same for {counted(len(others), 'other table')}: {_listed(others)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"
