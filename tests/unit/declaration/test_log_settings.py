"""`cursor: wal`: what it means for a table's other settings, and how its source's log is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefeed.declaration.explain import explain_table
from lakefeed.declaration.models.wal import WalSettings
from lakefeed.declaration.project import Project, open_project
from lakefeed.declaration.table import Table


def project_of(folder: Path, declared: str) -> Project:
    (folder / "sources.yaml").write_text(f"version: 1\n{declared}", encoding="utf-8")
    return open_project(folder)


def table_of(folder: Path, settings: str, *, more: str = "") -> Table:
    source = f"sources:\n  shop:\n    connection: ${{SHOP_URL}}\n{more}"
    return project_of(folder, f"{source}    tables:\n      orders: {settings}\n").tables[0]


@pytest.mark.parametrize("word", ["xmin", "wal"])
def test_a_bare_word_is_no_column_and_a_mapping_or_a_list_is_one(word: str, tmp_path: Path) -> None:
    bare = table_of(tmp_path, f"{{cursor: {word}}}")
    columns = [
        table_of(tmp_path, f"{{cursor: {{column: {word}}}}}"),
        table_of(tmp_path, f"{{cursor: [{word}]}}"),
    ]

    assert (bare.reads_log, bare.reads_row_versions) == (word == "wal", word == "xmin")
    assert bare.cursor is None
    for table in columns:
        assert not table.reads_log and not table.reads_row_versions
        assert table.cursor is not None and table.cursor.columns == (word,)


def test_rows_that_the_log_says_were_deleted_are_removed_unless_declared_otherwise(
    tmp_path: Path,
) -> None:
    by_default = table_of(tmp_path, "{cursor: wal}")
    marked = table_of(tmp_path, "{cursor: wal, deletes: mark}")
    kept = table_of(tmp_path, "{cursor: wal}", more="    defaults: {deletes: ignore}\n")

    declared = [table.settings.deletes for table in (by_default, marked, kept)]

    assert declared == ["remove", "mark", "ignore"]
    assert by_default.origins["deletes"] == by_default.origins["cursor"]


def test_what_defaults_set_for_another_kind_of_cursor_is_dropped(tmp_path: Path) -> None:
    more = "    defaults: {cursor: at, lookback: 30m, on_null_cursor: error, on_detach: keep}\n"

    table = table_of(tmp_path, "{cursor: wal}", more=more)

    settings = table.settings
    assert (settings.lookback.total_seconds(), settings.on_null_cursor) == (0, "include")
    assert settings.on_detach is None
    assert "lookback" not in table.origins


def test_a_table_that_is_read_whole_has_nothing_of_the_log(tmp_path: Path) -> None:
    more = "    defaults: {cursor: wal}\n"

    table = table_of(tmp_path, "{mode: full_refresh, where: id > 0}", more=more)

    assert not table.reads_log and table.wal is None
    assert table.settings.deletes == "ignore"


def test_slot_and_publication_are_named_after_the_source_unless_declared(tmp_path: Path) -> None:
    declared = "    wal: {slot: mine, publication: Ours, max_wal: never}\n"
    default = table_of(tmp_path, "{cursor: wal}")

    assert default.wal == WalSettings("lakefeed_shop", "lakefeed_shop", 10_000_000_000)
    table = table_of(tmp_path, "{cursor: wal}", more=declared)
    assert table.wal == WalSettings("mine", "Ours", None)


def test_the_slot_of_a_source_in_capitals_has_small_letters_and_fits_into_a_name(
    tmp_path: Path,
) -> None:
    name = "Shop_" + "x" * 60
    source = f"sources:\n  {name}:\n    connection: ${{URL}}\n"

    project = project_of(tmp_path, f"{source}    tables: {{a: {{cursor: wal}}}}\n")

    slot = project.wal_of(name).slot
    assert (len(slot), slot[:15]) == (63, "lakefeed_shop_x")


def test_explain_says_how_the_log_is_read_and_where_that_is_set(tmp_path: Path) -> None:
    table = table_of(tmp_path, "{cursor: wal}", more="    wal: {max_wal: 500 MB}\n")

    lines = [" ".join(line.split()) for line in explain_table(table, None).splitlines()]

    assert "cursor wal sources.yaml:7" in lines
    assert "deletes remove sources.yaml:7" in lines
    assert "wal.slot lakefeed_shop default" in lines
    assert "wal.max_wal 500 MB sources.yaml:5" in lines
