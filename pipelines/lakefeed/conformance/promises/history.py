"""History has every version of a row, from when it was read until the next one was."""

from __future__ import annotations

from lakefeed.conformance.trial import SOURCE, Trial, refuse_unequal

HISTORY = f"history.hst_{SOURCE}__customers"


def versions_of_rows(trial: Trial) -> None:
    """Two changes of a row make three versions, without gaps or overlaps."""
    for city in ("second", "third"):
        trial.execute(f"update customers set city = '{city}', at = clock_timestamp() where id <= 2")
        trial.run("customers")
    expected = [
        (1, "city 1", False), (1, "second", False), (1, "third", True),
        (2, "city 2", False), (2, "second", False), (2, "third", True),
        (3, "city 3", True),
    ]  # fmt: skip
    versions = trial.seen(HISTORY, "id, city, is_current, valid_from, valid_to")
    found = sorted((row[:3] for row in versions if row[0] in (1, 2, 3)), key=str)
    refuse_unequal("history of customers", found, sorted(expected, key=str))
    begins = {(key, begin) for key, _, _, begin, _ in versions}
    gaps = [row for row in versions if row[4] is not None and (row[0], row[4]) not in begins]
    refuse_unequal("versions that end when no other begins", gaps, [])
    current = [(key, city) for key, city, is_current, *_ in versions if is_current]
    staged = trial.seen(f"staging.stg_{SOURCE}__customers", "id, city")
    refuse_unequal("current versions", sorted(current, key=str), sorted(staged, key=str))
