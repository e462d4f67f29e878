"""The bounds of a partitioned table's partitions, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bounds:
    """Which rows of a partitioned table, or of one of its partitions, belong to a partition of it.

    Attributes:
        name: the partition's name.
        by: the columns of the partition key.
        bound: as PostgreSQL writes it: `FOR VALUES IN ('DE', 'FR')` or `DEFAULT`.
        besides: of a default partition, the bounds of all others. It is the same partition whatever
            others there are.
    """

    name: str = field(compare=False)
    by: tuple[str, ...]
    bound: str
    besides: tuple[str, ...] = field(default=(), compare=False)

    @property
    def is_default(self) -> bool:
        """Whether it takes the rows that no other partition takes."""
        return self.bound == "DEFAULT"


# A partition that holds rows: its bounds, after those of the partitions that it is part of.
Partition = tuple[Bounds, ...]


@dataclass(frozen=True)
class Partitioning:
    """How a table is partitioned.

    Attributes:
        columns: those of all partition keys.
        partitions: those that hold rows.
        obstacle: why the lake can't tell by the bounds which partition a row belongs to, as a
            clause; None if it can. There are no `partitions` then.
    """

    columns: tuple[str, ...] = ()
    partitions: tuple[Partition, ...] = ()
    obstacle: str | None = None
