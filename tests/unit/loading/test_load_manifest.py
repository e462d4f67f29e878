"""A load manifest is read by other versions than the one that wrote it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.raw.load_manifest import (
    FORMAT,
    MANIFEST,
    KeyRange,
    Load,
    complete,
    effective,
    unfinished,
)
from lakefeed.loading.raw.manifest_pack import pack, unpack
from lakefeed.loading.sessions.transactions import OpenTransactions

AT = "2026-01-01T00:00:00+00:00"
LOAD = Load(
    load_id="1795872717.9656086",
    table="shop__orders",
    supersedes=False,
    snapshot_at=AT,
    rows_read=30,
    rows=30,
    null_cursors=0,
    cursor="at",
    cursor_min=AT,
    cursor_max=AT,
    checkpoint_before=None,
    checkpoint=AT,
    files=("orders/a.parquet",),
    read_as=ReadContract(
        cursor="at",
        key=("id",),
        where=None,
        initial_value=None,
        columns={"id": "integer"},
        identity=16395,
    ),
    in_flight=OpenTransactions(
        snapshot_at=AT, horizon=AT, prepared={"one": None}, transactions="753:753:", history="7/1"
    ),
)

assert LOAD.in_flight
RANGE = KeyRange(
    first=LOAD.load_id,
    number=1,
    of=3,
    size=3_000_000,
    upper=("100", "it's"),
    newest=AT,
    began=LOAD.in_flight,
)


def range_loads(number: int, of: int, *, anew: bool = False) -> list[Load]:
    """The first loads with ranges of a first load, so many of them."""
    return [
        replace(LOAD, supersedes=anew and n == 1, range=replace(RANGE, number=n, of=of))
        for n in range(1, number + 1)
    ]


def fields(**more: Any) -> dict[str, Any]:
    """The manifest's JSON with additional fields at every level."""
    document = json.loads(MANIFEST.text(LOAD))
    document["read_as"] |= {"new": [1], **more.pop("read_as", {})}
    document["in_flight"] |= {"new": {"of": "it"}}
    return {**document, "new": "fact", **more}


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert MANIFEST.read(MANIFEST.text(LOAD), "a.json") == LOAD
    assert unpack(pack([LOAD]).encode()) == {LOAD.load_id: LOAD}
    assert json.loads(MANIFEST.text(LOAD))["format"] == FORMAT


def test_unknown_fields_are_ignored() -> None:
    assert MANIFEST.read(json.dumps(fields()), "a.json") == LOAD
    packed = json.loads(pack([LOAD]))
    packed["read_as"][0]["new"] = packed["loads"][0]["in_flight"]["new"] = packed["new"] = 1
    assert unpack(json.dumps(packed).encode()) == {LOAD.load_id: LOAD}


def test_a_manifest_without_a_format_has_the_first_format() -> None:
    document = fields()
    del document["format"], document["read_as"], document["in_flight"]

    read = MANIFEST.read(json.dumps(document), "a.json")

    assert (read.format, read.read_as, read.in_flight) == ("1.0", None, None)


def test_a_newer_minor_format_is_read_but_not_packed() -> None:
    newer = MANIFEST.read(json.dumps(fields(format="1.999")), "a.json")

    assert newer.read_as == LOAD.read_as
    assert unpack(pack([LOAD, newer]).encode()) == {LOAD.load_id: LOAD}
    assert json.loads(MANIFEST.text(newer))["format"] == FORMAT


def test_a_pack_without_a_format_is_read() -> None:
    packed = json.loads(pack([LOAD]))
    del packed["format"]

    assert unpack(json.dumps({**packed, "version": 1}).encode()) == {LOAD.load_id: LOAD}


def test_a_pack_of_a_newer_format_is_ignored_since_it_only_holds_copies() -> None:
    assert unpack(json.dumps({**json.loads(pack([LOAD])), "format": "2.0"}).encode()) == {}


def test_a_range_is_read_as_it_was_written() -> None:
    load = replace(LOAD, range=RANGE)

    assert MANIFEST.read(MANIFEST.text(load), "a.json") == load
    assert unpack(pack([load]).encode()) == {load.load_id: load}
    assert RANGE.shown == "1 of 3 ranges, 1.0 MB of 3.0 MB"


def test_no_range_counts_before_the_last_one() -> None:
    begun, whole = range_loads(2, 3), range_loads(3, 3)

    assert (effective(begun), unfinished(begun), complete(begun)) == ((), begun, [])
    assert (effective(whole), unfinished(whole), complete(whole)) == (whole, (), whole)
    later = [*whole, LOAD]
    assert (effective(later), unfinished(later), complete(later)) == (later, (), later)


def test_ranges_of_a_load_that_started_over_never_count() -> None:
    abandoned = range_loads(2, 3)
    begun, whole = range_loads(1, 2, anew=True), range_loads(2, 2, anew=True)

    assert unfinished([*abandoned, *begun]) == begun
    assert complete([*abandoned, *begun]) == []
    assert effective([*abandoned, *whole]) == complete([*abandoned, *whole]) == whole


def test_ranges_count_if_an_earlier_version_has_read_the_table_since() -> None:
    """It knows no ranges, reads from the beginning, and leaves out rows that they have."""
    loads = [*range_loads(2, 3), LOAD]

    assert (effective(loads), unfinished(loads), complete(loads)) == (loads, (), loads)
