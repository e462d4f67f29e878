"""Failed reads that are worth repeating at a later snapshot."""

from __future__ import annotations

from typing import ClassVar

from lakefeed.errors import TableFailed


class RetryAtLaterSnapshot(TableFailed):
    """A table must be read once more in this run, at a later snapshot than the other tables.

    `note` is what the run reports if that succeeds.
    """

    note: ClassVar[str]
