"""Inspects dlt's load packages in a pipeline's working directory without importing dlt."""

from __future__ import annotations

import shutil
from pathlib import Path

_EXTRACTED = "normalize/extracted"
_NORMALIZED = "load/normalized"


def has_pending_packages(working: Path) -> bool:
    """Whether an interrupted load left a package to commit."""
    pending = (path for folder in (_EXTRACTED, _NORMALIZED) for path in working.glob(f"{folder}/*"))
    return any(pending)


def drop_remains(working: Path) -> None:
    """Removes extracted packages that dlt was removing when it was killed, and can't read again.

    dlt normalizes a package, moves the result into place atomically, and then removes the
    extracted package file by file (tests/faults/test_killed.py).
    """
    for package in working.glob(f"{_EXTRACTED}/*"):
        is_normalized = (working / _NORMALIZED / package.name).is_dir()
        if is_normalized or not (package / "new_jobs").is_dir():
            shutil.rmtree(package)
