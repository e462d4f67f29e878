"""Keeps decoded changes of a table in files until they are applied, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

# What is kept in memory of each table: so many rows, or characters of values.
_MOST_ROWS = 50_000
_MOST_CHARACTERS = 16_000_000
# Beside these, the value of each of the plan's columns as text.
_PLACE = ("xid", "lsn", "position", "committed_at", "operation", "unchanged", "moved")


def value_name(number: int) -> str:
    """The name of a value's column, by the number of its column in the plan."""
    return f"value_{number}"


@dataclass
class ChangeFiles:
    """The files with a table's changes in the order of the log. Written by one thread.

    Attributes:
        folder: where its files are; it exists.
        columns: how many columns the plan has.
    """

    folder: Path
    columns: int
    files: list[Path] = field(default_factory=list)
    _rows: list[tuple[Any, ...]] = field(default_factory=list)
    _characters: int = 0

    def add(self, row: tuple[Any, ...]) -> None:
        """Adds a change: the values of the columns above, and those of the plan's columns."""
        self._rows.append(row)
        self._characters += sum(map(len, filter(None, row[len(_PLACE) :])))
        if len(self._rows) >= _MOST_ROWS or self._characters >= _MOST_CHARACTERS:
            self._write()

    def finish(self) -> None:
        """Writes what is still in memory."""
        if self._rows:
            self._write()

    def readable_files(self) -> tuple[Path, ...]:
        """All files, once it is finished: at least one, so that there is something to read."""
        if not self.files:
            self._write()
        return tuple(self.files)

    def _write(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = self._schema(pa)
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(schema)
        arrays = [pa.array(values, kind.type) for values, kind in zip(columns, schema, strict=True)]
        path = self.folder / f"{len(self.files)}.parquet"
        pq.write_table(pa.table(arrays, schema=schema), path, compression="lz4")
        self.files.append(path)
        self._rows, self._characters = [], 0

    def _schema(self, arrow: Any) -> pa.Schema:
        types = (
            *(arrow.int64(), arrow.int64(), arrow.int64(), arrow.timestamp("us", "UTC")),
            *(arrow.string(), arrow.list_(arrow.string()), arrow.bool_()),
        )
        fields = [*zip(_PLACE, types, strict=True)]
        fields += [(value_name(number), arrow.string()) for number in range(self.columns)]
        return arrow.schema(fields)
