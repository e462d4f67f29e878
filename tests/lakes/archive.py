"""Lakes that earlier versions wrote, as they were archived, and the source that they saw."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from tests.conftest import Database, Lake, new_database
from tests.lakes.make import LAKES

# Of a table, of what holds its rows, of a label of an enum, of a composite type.
_NUMBER = re.compile(r'(?<="identity": )\d+|(?<=")\d{5,}(?=(\.\d)?": ("|\d))|(?<=\d": )\d{5,}')


def archived(version: str, folder: Path) -> Lake:
    """The lake of a version, in a folder below this one."""
    with tarfile.open(LAKES / version / "lake.tar.gz") as archive:
        archive.extractall(folder / version, filter="data")
    return Lake(folder / version)


def source_of(lake: Lake, server_url: str) -> Database:
    """The source as an archived lake saw it last; the lake takes it for the one that it saw."""
    made = new_database(server_url)
    made.execute((LAKES / lake.root.name / "source.sql").read_text(encoding="utf-8"))
    numbers = dict(made.rows("select relname, oid::bigint from pg_class where relkind = 'r'"))
    for path in (lake.root / "data/raw").glob("*/_lakefeed_loads/*"):
        path.write_text(_renumbered(path.read_text(), numbers[_table_of(path)]))
    return made


def _renumbered(text: str, number: int) -> str:
    """Manifests that name what this server has: it gave out numbers in the same order as that one,
    from another one on.
    """
    further = number - int(re.findall(r'"identity": ?(\d+)', text)[-1])
    return _NUMBER.sub(lambda found: str(int(found[0]) + further), text)


def _table_of(path: Path) -> str:
    return path.parts[-3].removeprefix("shop__")
