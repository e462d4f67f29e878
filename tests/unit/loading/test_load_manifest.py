"""A load manifest is read by other versions than the one that wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lakefeed.errors import TableFailed
from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.raw.load_manifest import FORMAT, Load
from lakefeed.loading.raw.manifest_pack import pack, unpack
from lakefeed.loading.raw.profile import Profile
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
    read_as=ReadContract("at", ("id",), None, None, {"id": "integer"}, 16395),
    in_flight=OpenTransactions(AT, AT, {"one": None}, "753:753:", "7/1"),
)


def fields(**more: Any) -> dict[str, Any]:
    """The manifest's JSON with additional fields at every level."""
    document = json.loads(LOAD.as_json())
    document["read_as"] |= {"new": [1], **more.pop("read_as", {})}
    document["in_flight"] |= {"new": {"of": "it"}}
    return {**document, "new": "fact", **more}


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert Load.from_json(LOAD.as_json()) == LOAD
    assert unpack(pack([LOAD]).encode()) == {LOAD.load_id: LOAD}
    assert json.loads(LOAD.as_json())["format"] == FORMAT


def test_unknown_fields_are_ignored() -> None:
    assert Load.from_json(json.dumps(fields())) == LOAD
    packed = json.loads(pack([LOAD]))
    packed["read_as"][0]["new"] = packed["loads"][0]["in_flight"]["new"] = packed["new"] = 1
    assert unpack(json.dumps(packed).encode()) == {LOAD.load_id: LOAD}
    profile = {"rows": 1, "size": 2, "columns": {"id": {"nulls": 0, "new": 1}}, "new": 1}
    assert Profile.from_json(json.dumps(profile)).columns["id"].nulls == 0


def test_a_manifest_without_a_format_has_the_first_format() -> None:
    document = fields()
    del document["format"], document["read_as"], document["in_flight"]

    read = Load.from_json(json.dumps(document))

    assert (read.format, read.read_as, read.in_flight) == ("1.0", None, None)


@pytest.mark.parametrize("version", ["2.0", "2", 2, "10.1"])
def test_a_newer_major_format_is_refused_by_name(version: object) -> None:
    with pytest.raises(TableFailed) as refused:
        Load.from_json(json.dumps(fields(format=version)))

    assert str(refused.value) == (
        f"load {LOAD.load_id} of shop__orders: written by a newer version of Lakefeed (format "
        f"{version}; this one reads {FORMAT})\n  upgrade Lakefeed"
    )


def test_a_newer_minor_format_is_read_but_not_packed() -> None:
    newer = Load.from_json(json.dumps(fields(format="1.999")))

    assert newer.read_as == LOAD.read_as
    assert unpack(pack([LOAD, newer]).encode()) == {LOAD.load_id: LOAD}
    assert json.loads(newer.as_json())["format"] == FORMAT
