"""The profile of a load: statistics of its rows, with which later loads are compared.

    raw/shop__orders/_lakefeed_profiles/<load id>.json

Profiles are separate from load manifests because every run reads manifests, but only `lakefeed
check --data` reads profiles. A profile has the minimum and maximum of numbers, dates and times. Of
text columns it has only the lengths, since their values may be personal data.
"""

from __future__ import annotations

from dataclasses import dataclass

from lakefeed.documents import Format


def profile_name(load_id: str) -> str:
    """The name of a profile's file while its load is waiting to be committed."""
    return f"{load_id}.profile.json"


@dataclass(frozen=True)
class ColumnProfile:
    """Statistics of one column; None where unknown or not applicable.

    `distinct` is an estimate; for large loads it is the largest estimate of any row group.
    `shortest` and `longest` are text lengths.
    """

    nulls: int
    distinct: int | None = None
    min: str | None = None
    max: str | None = None
    shortest: int | None = None
    longest: int | None = None


@dataclass(frozen=True)
class Profile:
    """Statistics of the rows that a load wrote; `size` is that of their files in bytes.

    `lateness` is the time in seconds from the newest cursor value to the snapshot.
    """

    rows: int
    size: int
    columns: dict[str, ColumnProfile]
    lateness: float | None = None


PROFILE = Format(Profile, "profile", brief=True)
