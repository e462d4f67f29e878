"""Columns that are others under the same name: told by what they are, not by name and type.

Decided from plain data: the identities that the newest load noted, and those of now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lakefeed.declaration.catalogue import MONEY, ColumnIdentity

Identities = Mapping[str, ColumnIdentity]


def other_columns(
    before: Identities, now: Identities, *, same_table: bool
) -> Iterator[tuple[str, str]]:
    """Each column that is another than before, and in which way.

    Args:
        same_table: in a table that was created anew all numbers are new; what its columns are made
            of can still be compared.
    """
    for name, new in now.items():
        old = before.get(name)
        if old is None:
            continue
        if same_table and old.number != new.number:
            yield name, _another(name, before, now)
        elif old.type != new.type and (old.members or new.members):
            yield name, f"the type of column `{name}` was {old.type} and is {new.type}"
        elif not _has_all_members(old, new, same_table=same_table):
            yield name, _other_members(name, old, new)
        elif same_table and is_redefined(old.expression, new.expression):
            yield name, f"generated column `{name}` has another expression"


def is_redefined(before: str | None, now: str | None) -> bool:
    """Whether the fingerprint of a definition is another; those of two versions aren't compared.

    What is generated no longer keeps its values.
    """
    if before is None or now is None:
        return now is not None
    return before != now and before.split()[0] == now.split()[0]


def _has_all_members(old: ColumnIdentity, new: ColumnIdentity, *, same_table: bool) -> bool:
    """A label more leaves those that there were as they are."""
    if same_table:
        return old.members.items() <= new.members.items()
    return set(old.members.values()) <= set(new.members.values())


def _another(name: str, before: Identities, now: Identities) -> str:
    """Names what became of the former one, and what the present one was, where that is known."""
    became = _name_of(before[name].number, now)
    was = _name_of(now[name].number, before)
    told = [f"the former is now `{became}`"] if became else []
    told += [f"this one was `{was}`"] if was else []
    return f"column `{name}` is another one" + (f" ({', '.join(told)})" if told else "")


def _name_of(number: int, columns: Identities) -> str | None:
    return next((name for name, column in columns.items() if column.number == number), None)


def _other_members(name: str, old: ColumnIdentity, new: ColumnIdentity) -> str:
    was, now_is = old.members.get(MONEY), new.members.get(MONEY)
    if was and now_is and was != now_is:
        return f"amounts in column `{name}` were written as {was}, and are as {now_is}"
    renamed = [
        f"`{text}` is now `{new.members[number]}`"
        for number, text in old.members.items()
        if new.members.get(number, text) != text
    ]
    told = f"were renamed: {', '.join(renamed)}" if renamed else "are others"
    return f"labels or attributes in the type of column `{name}` {told}"
