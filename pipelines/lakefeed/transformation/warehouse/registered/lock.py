"""The lock that builds of a warehouse hold, on whatever machines they run: a lease in its register.

The engines that need it have no locks that end with their holder.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from lakefeed.transformation.warehouse.base.lease import LeaseLock
from lakefeed.transformation.warehouse.registered.register import Placed, Register, RegisterTable
from lakefeed.transformation.warehouse.registered.stored_register import (
    change_register,
    read_register,
)

S = TypeVar("S", bound=Placed)


def lease_of(
    warehouse: Hashable, table: RegisterTable[S], clock: Callable[[], int]
) -> LeaseLock[Register[S]]:
    """The lock of one warehouse.

    Args:
        warehouse: what tells it from others in this process.
        clock: the time in µs by the clock that all builders share.
    """
    return LeaseLock(
        warehouse,
        read=lambda: read_register(table),
        change=lambda change: change_register(table, change),
        clock=clock,
    )
