"""First loads of the same tables by every contender: `lineitem`, `big`, `wide`, `many`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, partial

from benchmarks import peers
from benchmarks.contender import Contender, Job
from benchmarks.fidelity import Fingerprint, compare, fingerprint_source, open_copy
from benchmarks.lakefeed import LAKEFEED
from benchmarks.place import Place
from benchmarks.process import Command
from benchmarks.reference import reference
from benchmarks.rounds import Checked, Step
from benchmarks.source import Source, ensure_database
from benchmarks.tables import (
    MANY_ROWS,
    MANY_TABLES,
    Table,
    ensure_lineitem,
    ensure_part,
    ensure_small_tables,
    ensure_wide,
    lineitem,
    small_tables,
    wide,
)

# How much of a table the slower contenders get, so that all ends in minutes.
_LINEITEM_PARTS = (6, 60)
_WIDE_PARTS = (4, 20)
# How much bigger than lineitem of the same scale the big one is.
_BIG = 4
# A process a table is too slow for all of them.
_FEW_TABLES = 5


@dataclass(frozen=True)
class Group:
    """Tables, and who reads them."""

    name: str
    source: Source
    tables: Sequence[Table]
    contenders: Sequence[Contender]


def lineitem_case(server: Source, place: Place, scale: float, only_ours: bool) -> list[Step]:
    """TPC-H's lineitem; the slower contenders get its first part."""
    source = ensure_database(server, database_of(scale))
    ensure_lineitem(source, place, scale)
    sizes = _sizes(source, lineitem(), _LINEITEM_PARTS)
    fast, middle, slow = (
        (peers.DUCKDB, peers.CONNECTORX),
        (peers.PYARROW, peers.RIVET, peers.SLING, peers.INGESTR),
        (peers.SQLALCHEMY,),
    )
    return _steps(source, place, sizes, (fast, middle, slow), only_ours)


def big_case(server: Source, place: Place, scale: float, only_ours: bool) -> list[Step]:
    """Four times lineitem, for those that can end it in half a minute."""
    big = scale * _BIG
    source = ensure_database(server, database_of(big))
    ensure_lineitem(source, place, big)
    return _steps(source, place, _sizes(source, lineitem(), ()), ((peers.DUCKDB,),), only_ours)


def wide_case(server: Source, place: Place, scale: float, only_ours: bool) -> list[Step]:
    """A table of uuid, jsonb, arrays, unbounded numeric and NULLs."""
    source = ensure_database(server, database_of(scale))
    ensure_wide(source, scale)
    sizes = _sizes(source, wide(), _WIDE_PARTS)
    fast, middle, slow = (
        (peers.DUCKDB, peers.CONNECTORX, peers.RIVET),
        (peers.PYARROW, peers.SLING, peers.INGESTR),
        (peers.SQLALCHEMY,),
    )
    return _steps(source, place, sizes, (fast, middle, slow), only_ours)


def many_case(server: Source, place: Place, _scale: float, only_ours: bool) -> list[Step]:
    """Fifty small tables in one run."""
    source = ensure_database(server, "many")
    ensure_small_tables(source)
    tables = small_tables()
    sizes = [
        (f"{MANY_TABLES} tables of {MANY_ROWS:,} rows", tables),
        (f"{_FEW_TABLES} of them", tables[:_FEW_TABLES]),
    ]
    several = (
        *(peers.DUCKDB, peers.CONNECTORX, peers.PYARROW, peers.SQLALCHEMY),
        *(peers.RIVET, peers.SLING),
    )
    steps = _steps(source, place, sizes, (several, (peers.INGESTR,)), only_ours)
    others = [replace(step, base=False) for step in steps]
    named = {name: [step for step in others if step.group == name] for name, _ in sizes}
    return [step for name in named for step in (reference(name, place), *named[name])]


def database_of(scale: float) -> str:
    """The database that holds the big tables of a scale."""
    return f"scale_{scale:g}".replace(".", "_")


def _sizes(source: Source, whole: Table, parts: Sequence[int]) -> list[tuple[str, list[Table]]]:
    (rows,) = source.row(f"select count(*) from {whole.name}")
    sizes = [(f"{rows:,} rows", [whole])]
    for part in parts:
        count = rows // part
        sizes.append((f"{count:,} rows", [ensure_part(source, whole, count)]))
    return sizes


def _steps(
    source: Source,
    place: Place,
    sizes: Sequence[tuple[str, Sequence[Table]]],
    contenders: Sequence[Sequence[Contender]],
    only_ours: bool,
) -> list[Step]:
    steps: list[Step] = []
    for (name, tables), others in zip(sizes, contenders, strict=True):
        chosen = (peers.LIMIT, *(() if only_ours else others), LAKEFEED)
        steps += _of_group(Group(name, source, tables, chosen), place)
    return steps


def _of_group(group: Group, place: Place) -> Iterator[Step]:
    fingerprints = cache(partial(_fingerprints, group))
    for contender in group.contenders:
        folders: list[Job] = []
        yield Step(
            group.name,
            contender.name,
            _version(contender, place),
            partial(_start, group, contender, place, folders),
            partial(_check, contender, folders, fingerprints) if contender.copy_of else None,
            contender is peers.LIMIT,
            contender.remark,
            contender.limit_seconds,
        )


def _version(contender: Contender, place: Place) -> str:
    try:
        return contender.version(place)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, its row will say so
        return "?"


def _start(group: Group, contender: Contender, place: Place, jobs: list[Job]) -> Command:
    job = Job(group.source, group.tables, place.fresh("run"), place)
    jobs[:] = [job]
    return contender.prepare(job)


def _fingerprints(group: Group) -> list[Fingerprint]:
    return [fingerprint_source(group.source, table) for table in group.tables]


def _check(
    contender: Contender, jobs: Sequence[Job], fingerprints: Callable[[], list[Fingerprint]]
) -> Checked:
    assert contender.copy_of
    (job,) = jobs
    said: dict[str, None] = {}
    for table, fingerprint in zip(job.tables, fingerprints(), strict=True):
        copy = contender.copy_of(job, table)
        with closing(open_copy(copy)) as session:
            said[compare(session, fingerprint, table, copy)] = None
    written = sum(path.stat().st_size for path in job.folder.rglob("*") if _is_data(path.name))
    return Checked(written, "; ".join(one for one in said if one))


def _is_data(name: str) -> bool:
    return name.endswith((".parquet", ".duckdb"))
