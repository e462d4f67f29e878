"""Reads that one snapshot doesn't allow, and a later one may."""

from __future__ import annotations

from typing import ClassVar

from lakefeed.errors import TableFailed


class RetryAtLaterSnapshot(TableFailed):
    """A table that is to be read once more in this run, at a later snapshot than the others.

    `note` is what the run says of it where that succeeds.
    """

    note: ClassVar[str]
