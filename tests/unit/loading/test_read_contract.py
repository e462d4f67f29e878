"""What the next load does about changes since the latest load."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lakefeed.declaration.catalogue import ColumnIdentity
from lakefeed.loading.plan.read_contract import (
    ReadContract,
    changes_since,
    is_settled,
    noted_from_present,
)
from lakefeed.source.inspection.types import writes_the_same

ID = ColumnIdentity(1, "integer")
MOOD = ColumnIdentity(2, "enum", {"70": "sad", "71": "ok"})
COLUMNS = {"id": "integer", "mood": "varchar"}
NOW = ReadContract(
    cursor="at",
    key=("id",),
    where=None,
    initial_value=None,
    columns=COLUMNS,
    identity=7,
    identities={"id": ID, "mood": MOOD},
)
UNKNOWN = replace(NOW, identities=None)
VIEW = replace(NOW, definition="18/5 aaa")


def notes_of(
    before: ReadContract, now: ReadContract, *, reads_whole: bool = False
) -> tuple[str, ...]:
    return changes_since(before, now, shown="s.t", reads_whole=reads_whole).notes


def with_mood(mood: ColumnIdentity, *, table: int = 7) -> ReadContract:
    return replace(NOW, identity=table, identities={"id": ID, "mood": mood})


def test_identities_that_were_not_recorded_cause_no_reload() -> None:
    renamed = with_mood(replace(MOOD, members={"70": "sad", "71": "fine"}))

    assert notes_of(UNKNOWN, renamed) == notes_of(NOW, replace(renamed, identities=None)) == ()
    assert not is_settled(UNKNOWN, renamed)
    assert noted_from_present(UNKNOWN, renamed, read_whole=False) == renamed


def test_the_recorded_contract_stays_until_all_rows_were_read() -> None:
    now = with_mood(replace(MOOD, members={**MOOD.members, "72": "glad"}))

    assert noted_from_present(NOW, now, read_whole=False) is None
    assert noted_from_present(NOW, now, read_whole=True) == now
    assert noted_from_present(NOW, NOW, read_whole=True) is None
    assert noted_from_present(NOW, replace(NOW, key=("mood",)), read_whole=False) is None


def test_a_table_that_was_read_in_full_without_news_is_not_read_in_full_again() -> None:
    now = replace(NOW, key=("mood",), only=True)

    assert noted_from_present(NOW, now, read_whole=True) == now


@pytest.mark.parametrize(
    "now",
    [
        NOW,
        with_mood(replace(MOOD, members={**MOOD.members, "72": "glad"})),
        replace(NOW, identities={"mood": MOOD, "id": ID}),
    ],
)
def test_changes_that_keep_all_values_need_no_action(now: ReadContract) -> None:
    assert notes_of(NOW, now) == ()
    assert is_settled(NOW, now)


def test_columns_of_a_recreated_table_are_recognized_by_their_labels() -> None:
    """As in a database restored from a dump, where all numbers differ."""
    restored = with_mood(ColumnIdentity(9, "enum", {"1": "ok", "2": "sad"}), table=8)
    renamed = with_mood(ColumnIdentity(9, "enum", {"1": "fine", "2": "sad"}), table=8)

    assert "recreated or replaced" in "".join(notes_of(NOW, restored))
    assert noted_from_present(NOW, restored, read_whole=False) == restored
    assert notes_of(NOW, renamed) == (
        "labels or attributes in the type of column `mood` changed, so the table is read in full",
    )


@pytest.mark.parametrize(
    ("before", "after", "is_read_whole"),
    [
        ("18/5 aaa", "18/5 bbb", True),
        ("18/5 aaa", "19/5 bbb", False),
        ("18/5 aaa", "18/6 bbb", False),
        (None, "18/5 aaa", True),
        ("18/5 aaa", None, True),
    ],
)
def test_definitions_are_compared_within_one_database(
    before: str | None, after: str | None, is_read_whole: bool
) -> None:
    changes = changes_since(
        replace(NOW, definition=before),
        replace(NOW, definition=after),
        shown="s.t",
        reads_whole=False,
    )

    assert changes.whole == is_read_whole
    assert bool(changes.others) == is_read_whole


def test_a_view_that_is_recreated_unchanged_is_not_recorded_again() -> None:
    assert noted_from_present(VIEW, replace(VIEW, identity=8), read_whole=False) is None


def test_a_column_that_was_loaded_before_and_is_back_makes_the_table_read_in_full() -> None:
    without = replace(NOW, columns={"id": "integer"}, identities={"id": ID})

    new = changes_since(without, NOW, shown="s.t", reads_whole=False)
    back = changes_since(without, NOW, shown="s.t", reads_whole=False, loaded_before=COLUMNS)

    assert (new.whole, new.added) == (False, ("mood",))
    assert (back.whole, back.added) == (True, ())
    assert "column `mood` is back" in back.notes[0]


def test_a_retyped_column_that_the_catalogue_shows_is_accepted_with_the_catalogue() -> None:
    retyped = replace(NOW, columns={"id": "varchar", "mood": "varchar"})
    retyped = replace(retyped, identities={"id": ColumnIdentity(3, "uuid"), "mood": MOOD})

    changes = changes_since(NOW, retyped, shown="s.t", reads_whole=False)

    assert changes.whole
    assert changes.others == ()


def test_a_load_that_reads_all_rows_has_no_notes() -> None:
    renamed = with_mood(replace(MOOD, members={"70": "sad", "71": "fine"}))

    changes = changes_since(NOW, renamed, shown="s.t", reads_whole=True)

    assert changes.notes == ()
    assert len(changes.others) == 1


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("text", "text", True),
        ("text", "character varying", True),
        ("character varying(5)", "text", True),
        ("character varying(5)", "character varying(9)", True),
        ("character varying(9)", "character varying(5)", False),
        ("text", "character varying(5)", False),
        ("character(5)", "character(9)", False),
        ("json", "jsonb", False),
        ("integer", "text", True),
        ("integer", "numeric", True),
        ("integer", "numeric(50,2)", False),
        ("integer", "money", False),
        ("timestamp(0) without time zone", "timestamp without time zone", True),
        ("timestamp without time zone", "timestamp(0) without time zone", False),
        ("time(3) without time zone", "time(2) without time zone", False),
        ("inet", "cidr", False),
    ],
)
def test_a_changed_type_with_the_same_lake_type_may_change_values(
    old: str, new: str, same: bool
) -> None:
    assert writes_the_same(old, new) == same


IN_PARTS = replace(NOW, parts={7: 7, 8: 8})


@pytest.mark.parametrize(
    ("parts", "new", "rewritten"),
    [
        ({7: 7, 8: 8}, (), ()),
        ({7: 7}, (), ()),
        ({}, (), ()),
        ({7: 7, 8: 8, 9: 9}, (9,), ()),
        ({7: 7, 8: 80}, (), (8,)),
        ({8: 80, 9: 9}, (9,), (8,)),
    ],
)
def test_new_parts_and_rewritten_parts_are_distinguished(
    parts: dict[int, int], new: tuple[int, ...], rewritten: tuple[int, ...]
) -> None:
    now = replace(IN_PARTS, parts=parts)

    changes = changes_since(IN_PARTS, now, shown="s.t", reads_whole=False)

    assert (changes.new_parts, changes.rewritten_parts) == (new, rewritten)
    assert not changes.is_another_table
    assert is_settled(IN_PARTS, now) == (now == IN_PARTS)
    noted = noted_from_present(IN_PARTS, now, read_whole=False)
    assert noted == (now if now != IN_PARTS else None)


def test_parts_that_were_not_recorded_cause_no_reload() -> None:
    changes = changes_since(NOW, IN_PARTS, shown="s.t", reads_whole=False)

    assert changes == changes_since(NOW, NOW, shown="s.t", reads_whole=False)
    assert not is_settled(NOW, IN_PARTS)
    assert noted_from_present(NOW, IN_PARTS, read_whole=False) == IN_PARTS


@pytest.mark.parametrize(
    ("before", "now", "is_another"),
    [
        (IN_PARTS, replace(IN_PARTS, parts={9: 9}), True),
        # A partitioned table that was recreated with the same partitions.
        (IN_PARTS, replace(IN_PARTS, identity=70), False),
        (IN_PARTS, replace(IN_PARTS, parts={}), False),
        # A partitioned table without partitions.
        (replace(IN_PARTS, parts={}), IN_PARTS, True),
        (NOW, replace(IN_PARTS, identity=70), True),
        (VIEW, replace(VIEW, identity=70), False),
    ],
)
def test_a_table_counts_as_replaced_if_none_of_its_parts_is_left(
    before: ReadContract, now: ReadContract, is_another: bool
) -> None:
    changes = changes_since(before, now, shown="s.t", reads_whole=False)

    assert changes.is_another_table == is_another
    assert (changes.new_parts, changes.whole) == ((), False)
    assert ("read from the beginning" in "".join(changes.notes)) == is_another


CLEAR = replace(NOW, protected={})
HASHED = replace(NOW, protected={"mood": "hashed with HMAC-SHA-256 and the key 01"})


def test_a_column_that_is_hashed_from_now_on_is_read_again_and_the_clear_values_are_named() -> None:
    assert notes_of(CLEAR, HASHED) == (
        "column `mood` was clear and is hashed with HMAC-SHA-256 and the key 01, so the table is "
        "read in full",
        "earlier loads in raw still hold clear values of `mood`; to remove them: lakefeed prune",
    )
    assert notes_of(CLEAR, HASHED, reads_whole=True) == (
        "column `mood` was clear and is hashed with HMAC-SHA-256 and the key 01",
        *notes_of(CLEAR, HASHED)[1:],
    )
    assert not is_settled(CLEAR, HASHED)


def test_another_key_of_a_hash_reads_the_table_again() -> None:
    other = replace(NOW, protected={"mood": "hashed with HMAC-SHA-256 and the key 02"})

    assert notes_of(HASHED, other) == (
        "column `mood` was hashed with HMAC-SHA-256 and the key 01 and is hashed with HMAC-SHA-256 "
        "and the key 02, so the table is read in full",
    )
    assert notes_of(HASHED, HASHED) == ()


def test_a_column_whose_type_changes_because_it_is_masked_is_told_of_once() -> None:
    masked = replace(NOW, columns={**COLUMNS, "id": "varchar"}, protected={"id": "masked as 'x'"})

    assert notes_of(CLEAR, masked)[0] == (
        "column `id` was clear and is masked as 'x', so the table is read in full"
    )
    assert len(notes_of(CLEAR, masked)) == 2


@pytest.mark.parametrize(
    ("edited", "told"),
    [
        ({"query": "select 1"}, "it is a query now, no longer a table"),
        ({"where": "id > 1"}, "`where` changed and applies to all rows"),
        ({"key": ("mood",)}, "the key was id and is mood"),
        ({"only": True}, "child tables are now excluded"),
        ({"cursor": "changed"}, "the cursor was `at` and is `changed`"),
        ({"cursor": None}, "reads all rows each time now, no longer by `at`"),
        ({"initial_value": "2026-01-01"}, "`initial_value` was not set and is 2026-01-01"),
        ({"columns": {**COLUMNS, "mood": "date"}}, "column `mood` was varchar and is date"),
    ],
)
def test_edits_of_a_table_that_is_read_whole_each_time_are_told(
    edited: dict[str, Any], told: str
) -> None:
    assert notes_of(NOW, replace(NOW, **edited), reads_whole=True) == (told,)


@pytest.mark.parametrize(
    ("edited", "told"),
    [
        ({"cursor": "changed"}, "the cursor was `at` and is `changed`"),
        ({"where": "id > 1"}, "`where` changed and applies to all rows"),
        (
            {"columns": {**COLUMNS, "id": "bigint"}},
            "column `id` was integer and is bigint, which has the values loaded before too",
        ),
    ],
)
def test_an_edit_beside_one_that_reads_the_table_in_full_is_told_as_well(
    edited: dict[str, Any], told: str
) -> None:
    now = replace(NOW, key=("mood",), **edited)

    assert notes_of(NOW, now) == (
        "the key was id and is mood, so the table is read in full",
        told,
    )


def test_a_declared_type_that_widens_is_told_and_a_wider_one_of_the_source_is_not() -> None:
    wider = replace(NOW, columns={**COLUMNS, "id": "bigint"})
    of_source = replace(wider, identities={"id": ColumnIdentity(1, "bigint"), "mood": MOOD})

    assert notes_of(NOW, wider) == (
        "column `id` was integer and is bigint, which has the values loaded before too",
    )
    assert notes_of(NOW, of_source) == ()
    assert notes_of(NOW, of_source, reads_whole=True) == ()


def test_a_column_that_is_no_longer_read_is_null_in_all_rows_of_a_table_that_is_read_whole() -> (
    None
):
    now = replace(NOW, columns={"id": "integer"}, identities={"id": ID})

    def told(*, reads_whole: bool) -> tuple[str, ...]:
        return changes_since(NOW, now, shown="s.t", reads_whole=reads_whole, unread=["mood"]).notes

    kept = "no longer reads column `mood`; staging keeps it, with null in"
    assert told(reads_whole=False) == (f"{kept} new rows",)
    assert told(reads_whole=True) == (f"{kept} all rows",)


AS_DECLARED = replace(NOW, settings={"lookback": "1h", "deletes": "ignore", "on_detach": "-"})


@pytest.mark.parametrize(
    ("edited", "told"),
    [
        ({"lookback": "9d"}, "`lookback` was 1h and is 9d: the next load starts this far before"),
        ({"deletes": "remove"}, "`deletes` was ignore and is remove: each load removes rows"),
        ({"on_detach": "keep"}, "`on_detach` was not set and is keep: rows of partitions"),
    ],
)
@pytest.mark.parametrize("reads_whole", [True, False])
def test_a_setting_that_changes_what_loads_do_from_now_on_is_told_once(
    edited: dict[str, str], told: str, reads_whole: bool
) -> None:
    now = replace(AS_DECLARED, settings={**AS_DECLARED.settings, **edited})

    (note,) = notes_of(AS_DECLARED, now, reads_whole=reads_whole)

    assert note.startswith(told)
    assert not is_settled(AS_DECLARED, now)
    noted = noted_from_present(AS_DECLARED, now, read_whole=False)
    assert noted == now
    assert notes_of(noted, now) == ()


def test_settings_that_an_earlier_version_did_not_record_are_not_taken_for_edits() -> None:
    assert notes_of(NOW, AS_DECLARED) == ()
    assert is_settled(NOW, AS_DECLARED)
