"""The profile of a load: what its rows look like, in numbers, to hold later loads against.

    raw/shop__orders/_lakefeed_profiles/<load id>.json

Beside the load's description, not in it: every run reads descriptions, `lakefeed check --data`
alone reads profiles. It holds no value of a text column, since that may be a person's: only how
long its texts are. Of numbers, dates and times it holds the smallest and the largest.
"""

from __future__ import annotations

from dataclasses import dataclass

from lakefeed.documents import Format


def profile_name(load_id: str) -> str:
    """The file of a profile while its load waits beside its description to be committed."""
    return f"{load_id}.profile.json"


@dataclass(frozen=True)
class ColumnProfile:
    """One column of a load's rows. What isn't known, or doesn't apply, is None.

    `distinct` is an estimate; of many rows it is that of the fullest part of a file. `shortest` and
    `longest` are lengths of texts.
    """

    nulls: int
    distinct: int | None = None
    min: str | None = None
    max: str | None = None
    shortest: int | None = None
    longest: int | None = None


@dataclass(frozen=True)
class Profile:
    """The rows that a load wrote, and the `size` of their files in bytes.

    `lateness` is how many seconds the newest cursor lay before the snapshot.
    """

    rows: int
    size: int
    columns: dict[str, ColumnProfile]
    lateness: float | None = None


PROFILE = Format(Profile, "profile", brief=True)
