"""The settings of a source's log in `sources.yaml` (see declaration.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from lakefeed.declaration.models.strict import Strict
from lakefeed.declaration.models.value_types import NEVER, SizeLimit, Slot, Text, bytes_of
from lakefeed.wording import data_size

# Names that are longer are cut off by PostgreSQL, or refused.
_LONGEST_NAME = 63


@dataclass(frozen=True)
class WalSettings:
    """The settings of `Wal` with the names that a source has by default.

    `max_wal` is in bytes; None for no bound.
    """

    slot: str
    publication: str
    max_wal: int | None

    @property
    def texts(self) -> dict[str, str]:
        """Each setting as it would be written in YAML."""
        bound = NEVER if self.max_wal is None else data_size(self.max_wal).replace(".0 ", " ")
        return {"slot": self.slot, "publication": self.publication, "max_wal": bound}


class Wal(Strict):
    """How the log of one PostgreSQL database is read, for tables with `cursor: wal`."""

    slot: Slot | None = None
    """The replication slot: how far the log was read, for all tables of the source. `lakefeed cdc
    setup` creates it. It must be this project's alone. Default: `lakefeed_<source>`."""
    publication: Annotated[Text, Field(max_length=_LONGEST_NAME)] | None = None
    """The publication, which says what tables the log is decoded for. `lakefeed cdc setup` creates
    it and keeps it in step with the declared tables. Default: `lakefeed_<source>`."""
    max_wal: SizeLimit = "10 GB"
    """How much of its log the source may have to keep for a table whose loads fail: `500 MB`,
    `10 GB`, or `never` for no bound. A table that holds back more is left behind, and must be read
    in full to go on."""

    def of_source(self, source: str) -> WalSettings:
        """The settings with the default names of this source."""
        name = f"lakefeed_{source.lower()}"[:_LONGEST_NAME]
        return WalSettings(self.slot or name, self.publication or name, bytes_of(self.max_wal))
