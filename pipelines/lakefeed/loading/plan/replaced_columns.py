"""Detects columns that were replaced by another column with the same name, and storage.

Compares plain data: the column identities recorded by the latest load, and the current ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lakefeed.declaration.catalogue import MONEY, ColumnIdentity

Identities = Mapping[str, ColumnIdentity]


def other_columns(
    before: Identities, now: Identities, *, same_table: bool
) -> Iterator[tuple[str, str]]:
    """Yields each replaced column with the reason.

    Args:
        same_table: whether the table wasn't recreated. In a recreated table all column numbers are
            new, so only types and their members are compared.
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
            yield name, f"the expression of generated column `{name}` changed"


def names_now(before: Identities, now: Identities) -> dict[str, str]:
    """The names of columns of the same table now, by their former names."""
    names = {column.number: name for name, column in now.items()}
    return {name: names[column.number] for name, column in before.items() if column.number in names}


def is_redefined(before: str | None, now: str | None) -> bool:
    """Whether the fingerprint of a definition changed.

    Fingerprints made by different PostgreSQL versions aren't compared. A column that is no longer
    generated keeps its values and doesn't count as redefined.
    """
    if before is None or now is None:
        return now is not None
    return before != now and before.split()[0] == now.split()[0]


def _has_all_members(old: ColumnIdentity, new: ColumnIdentity, *, same_table: bool) -> bool:
    """Whether all former labels or attributes still exist; added ones don't matter."""
    if same_table:
        return old.members.items() <= new.members.items()
    return set(old.members.values()) <= set(new.members.values())


def _another(name: str, before: Identities, now: Identities) -> str:
    """Says that a column was replaced and, if known, how the two columns were renamed."""
    became = _name_of(before[name].number, now)
    was = _name_of(now[name].number, before)
    renames = [f"the old one is now `{became}`"] if became else []
    renames += [f"the new one was `{was}`"] if was else []
    return f"column `{name}` was replaced" + (f" ({', '.join(renames)})" if renames else "")


def _name_of(number: int, columns: Identities) -> str | None:
    return next((name for name, column in columns.items() if column.number == number), None)


def _other_members(name: str, old: ColumnIdentity, new: ColumnIdentity) -> str:
    was, now_is = old.members.get(MONEY), new.members.get(MONEY)
    if was and now_is and was != now_is:
        return f"the format of amounts in column `{name}` was {was} and is {now_is}"
    renamed = [
        f"`{text}` is now `{new.members[number]}`"
        for number, text in old.members.items()
        if new.members.get(number, text) != text
    ]
    change = f"were renamed: {', '.join(renamed)}" if renamed else "changed"
    return f"labels or attributes in the type of column `{name}` {change}"


def other_types(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What to say of each column whose type in the lake is another one than before."""
    both = {name: (before.get(name, kind), kind) for name, kind in now.items()}
    return [f"column `{name}` was {o} and is {n}" for name, (o, n) in both.items() if o != n]


def other_parts(
    before: Mapping[int, int] | None, now: Mapping[int, int] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """New parts of a table, and parts with new storage; none if either isn't known.

    Args:
        before: the storage of each part, by its OID.
    """
    if before is None or now is None:
        return (), ()
    new = tuple(oid for oid in now if oid not in before)
    return new, tuple(oid for oid, file in now.items() if before.get(oid, file) != file)
