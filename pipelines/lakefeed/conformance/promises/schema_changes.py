"""A table's columns may change: rows that were staged before keep their values."""

from __future__ import annotations

from lakefeed.conformance.trial import SOURCE, Trial, refuse_unequal


def a_column_is_added(trial: Trial) -> None:
    """Earlier rows have nulls in a new column."""
    trial.execute(
        "alter table changing add column colour text",
        "update changing set colour = 'red', at = clock_timestamp() where id <= 3",
    )
    trial.run("changing")
    trial.refuse_difference("changing")


def columns_are_widened(trial: Trial) -> None:
    """Earlier values are the same in a wider type, and new ones fit."""
    trial.execute(
        "alter table changing alter column size type bigint",
        "alter table changing alter column price type numeric(20, 6)",
        "update changing set size = 9223372036854775807, price = 12345678901234.567891, "
        "at = clock_timestamp() where id = 4",
    )
    trial.run("changing")
    trial.refuse_difference("changing")


def a_column_is_dropped(trial: Trial) -> None:
    """A dropped column stays in staging: earlier rows keep its values, later ones have none."""
    trial.execute(
        "alter table changing drop column old",
        "update changing set size = 0, at = clock_timestamp() where id = 5",
    )
    trial.run("changing")
    trial.refuse_difference("changing")
    found = trial.seen(f"staging.stg_{SOURCE}__changing", "id, old")
    keys = [key for (key,) in trial.rows("select id from changing")]
    expected = [(key, None if key == 5 else "old") for key in keys]
    refuse_unequal("values of a dropped column", sorted(found, key=str), sorted(expected, key=str))
