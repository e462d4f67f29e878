"""Errors of file systems and stores as StorageFailed: which path, why, and what to do about it."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakefeed.errors import StorageFailed
from lakefeed.store_reasons import INTACT, store_error_in

# Reason and remedy by error number. Numbers that don't concern files (EPIPE, …) are left out.
_KINDS = {
    errno.ENOSPC: (
        "no space left on this disk",
        "free some space and run again; `lakefeed prune --dry-run` lists what can be deleted",
    ),
    errno.EDQUOT: ("the disk quota is exceeded", "free some space or raise the quota"),
    errno.EROFS: (
        "this file system is read-only",
        "mount it read-write, or copy the project elsewhere",
    ),
    errno.EACCES: ("permission denied", ""),
    errno.EPERM: ("operation not permitted", ""),
    errno.ENOENT: (
        "no such file or folder",
        "restore it; if it is a symbolic link, mount its target",
    ),
    errno.ENOTDIR: ("found a file where a folder is expected", "move it away and run again"),
    errno.EISDIR: ("found a folder where a file is expected", "move it away and run again"),
    errno.EEXIST: ("this name is already taken", "move it away and run again"),
    errno.ENOTEMPTY: ("this folder isn't empty", "move it away and run again"),
    errno.EFBIG: (
        "the file exceeds the size that this process may write",
        "raise the file size limit (`ulimit -f`) and run again",
    ),
    errno.EMFILE: ("too many open files", "raise the limit (`ulimit -n 4096`) and run again"),
    errno.ENFILE: ("too many open files on this machine", "raise the limit and run again"),
    errno.ELOOP: ("its symbolic links form a loop", "fix the links"),
    errno.ENAMETOOLONG: ("this name is too long", "move the project to a shorter path"),
    errno.EBUSY: ("it is in use", "if it is a mount point, mount its parent folder instead"),
    errno.EXDEV: ("it is on another file system", "move both to the same file system"),
    errno.ENOLCK: (
        "this file system doesn't support locks",
        "put `data` on a local disk or on NFS 4",
    ),
    errno.EIO: ("disk read or write error", "check the disk and run again"),
    errno.ESTALE: ("stale network file handle", "remount the file system and run again"),
}
_BY_TEXT = {os.strerror(number): number for number in _KINDS}
# Longer texts first: one may be the beginning of another.
_REASONS = "|".join(map(re.escape, sorted(_BY_TEXT, key=len, reverse=True)))
# DuckDB and dbt quote such an error as text, without its number.
_DUCKDB_MESSAGE = re.compile(rf'"(?P<path>/[^\n]*?)": (?P<reason>{_REASONS})')
_PYTHON_MESSAGE = re.compile(
    rf"\[Errno \d+\] (?P<reason>{_REASONS})(?:: (?P<quote>['\"])(?P<path>.*?)(?P=quote))?"
)

# DuckDB limits its spill files to the free space on the disk and names this setting when exceeded.
_SPILL_LIMIT = "'max_temp_directory_size'"


def storage_error(error: BaseException) -> StorageFailed | None:
    """The error, or one of its causes, as StorageFailed; None if it is of no file or store."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, StorageFailed):
            return cause
        if of_store := store_error_in(str(cause)):
            return of_store
        found = _number_and_path(cause)
        if found:
            return refused(*found)
        cause = cause.__cause__
    return None


@contextmanager
def storage_errors_named() -> Iterator[None]:
    """Replaces an error that a file system caused with StorageFailed."""
    try:
        yield
    except Exception as error:
        named = storage_error(error)
        if named is None or named is error:
            raise
        raise named from error


def refused(number: int, path: str) -> StorageFailed:
    """The StorageFailed for an `errno` number at this path; `path` is empty if unknown."""
    reason, remedy = _KINDS[number]
    if number in (errno.EACCES, errno.EPERM):
        remedy = _ownership_remedy(Path(path)) if path else "run as the user who owns the files"
    return StorageFailed(reason, where=path, do=f"{remedy}; {INTACT}")


def why_unwritable(folder: Path) -> StorageFailed | None:
    """Why files can't be created in a folder, which need not exist yet; None if they can.

    Side effect: creates an unnamed temporary file in it, or in its nearest existing parent.
    """
    if missing := leads_nowhere(folder):
        return missing
    at = _nearest_existing(folder)
    try:
        with tempfile.TemporaryFile(dir=at):
            return None
    except OSError as error:
        number = error.errno if error.errno in _KINDS else errno.EIO
        return refused(number, str(at))


def leads_nowhere(path: Path) -> StorageFailed | None:
    """The error for a path with a broken symbolic link in it; None if it has none."""
    at = _nearest_existing(path)
    if at.is_symlink() and not at.exists():
        return refused(errno.ENOENT, f"{at} -> {at.readlink()}")
    return None


def _nearest_existing(path: Path) -> Path:
    """The file, folder or link itself, or its nearest existing parent."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


def _number_and_path(error: BaseException) -> tuple[int, str] | None:
    if isinstance(error, OSError) and error.errno in _KINDS:
        # With two paths, such as of a copy, the second is the target.
        path = error.filename2 or error.filename or ""
        return error.errno, os.fsdecode(path) if isinstance(path, (str, bytes)) else ""
    if _SPILL_LIMIT in str(error):
        return errno.ENOSPC, ""
    match = _DUCKDB_MESSAGE.search(str(error)) or _PYTHON_MESSAGE.search(str(error))
    return (_BY_TEXT[match["reason"]], match["path"] or "") if match else None


def _ownership_remedy(path: Path) -> str:
    """How this user gets access to the path, by the owner of its nearest existing parent."""
    path = _nearest_existing(Path(os.path.realpath(path)))
    owner, user = path.lstat().st_uid, os.geteuid()
    if owner == user:
        return f"you own {path}: grant yourself access with chmod u+rwX"
    change_owner = f"change its owner (chown -R {user} {path})"
    if owner == 0:
        return f"{path} belongs to root, but Lakefeed runs as user {user}: {change_owner}"
    return (
        f"{path} belongs to user {owner}, but Lakefeed runs as user {user}: run as user {owner} "
        f"(in containers: set LAKEFEED_UID={owner} in .env, then docker compose up -d), or "
        f"{change_owner}"
    )
