"""Writers of one file at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lakefeed.loading.object_store.writing import create_file

WRITERS = 8


def winners(files: Any, path: str) -> list[int]:
    """The numbers of those that wrote the file, of all that tried; each writes its number."""

    def write(number: int) -> bool:
        try:
            create_file(files, path, f"{number}".encode())
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as threads:
        won = list(threads.map(write, range(WRITERS)))
    return [number for number, has_won in enumerate(won) if has_won]
