"""dlt's load packages in a pipeline's working directory, seen without starting dlt."""

from __future__ import annotations

import shutil
from pathlib import Path

_EXTRACTED = "normalize/extracted"
_NORMALIZED = "load/normalized"


def has_pending_packages(working: Path) -> bool:
    """Whether an earlier load got as far as to leave something to commit."""
    pending = (path for folder in (_EXTRACTED, _NORMALIZED) for path in working.glob(f"{folder}/*"))
    return any(pending)


def drop_remains(working: Path) -> None:
    """Removes packages that dlt was killed over while it removed them, and couldn't read again.

    It normalizes a package, moves the result into place whole, and only then removes what it was
    made from, file by file. (tests/faults/test_killed.py)
    """
    for package in working.glob(f"{_EXTRACTED}/*"):
        is_normalized = (working / _NORMALIZED / package.name).is_dir()
        if is_normalized or not (package / "new_jobs").is_dir():
            shutil.rmtree(package)
