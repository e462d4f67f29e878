"""Statements that don't depend on each other, side by side: each waits for a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_AT_ONCE = 8

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(function: Callable[[T], R], arguments: Iterable[T]) -> list[R]:
    """The results of a function that waits for a server, for each argument, in their order."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(function, arguments))
