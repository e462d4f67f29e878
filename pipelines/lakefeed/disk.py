"""What a file system refuses, by name: which path, why, and what to do about it."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakefeed.errors import StorageFailed

INTACT = "what was committed and published before is intact"

# What is wrong, and what to do. Other errors of the system, such as a broken pipe, are no file's.
_KINDS = {
    errno.ENOSPC: (
        "no space is left on this disk",
        "make room there, and run again; `lakefeed prune --dry-run` shows what could go",
    ),
    errno.EDQUOT: ("the disk quota is used up", "make room there, or have the quota raised"),
    errno.EROFS: (
        "this file system is read-only",
        "mount it read-write, or copy the project to another place",
    ),
    errno.EACCES: ("permission denied", ""),
    errno.EPERM: ("operation not permitted", ""),
    errno.ENOENT: (
        "no such file or folder",
        "put it back; if a link leads there, mount what it leads to",
    ),
    errno.ENOTDIR: ("a file stands where a folder is needed", "move it away, and run again"),
    errno.EISDIR: ("a folder stands where a file is needed", "move it away, and run again"),
    errno.EEXIST: ("something else has this name", "move it away, and run again"),
    errno.ENOTEMPTY: ("this folder isn't empty", "move it away, and run again"),
    errno.EFBIG: (
        "the file is larger than this process may write",
        "raise the limit on file sizes (`ulimit -f`), and run again",
    ),
    errno.EMFILE: ("too many files are open", "raise the limit (`ulimit -n 4096`), and run again"),
    errno.ENFILE: ("too many files are open on this machine", "raise the limit, and run again"),
    errno.ELOOP: ("its links lead in a circle", "correct the links"),
    errno.ENAMETOOLONG: ("this name is too long", "move the project to a shorter path"),
    errno.EBUSY: ("it is in use", "if it is a mount of its own, mount its folder instead"),
    errno.EXDEV: ("it lies on another file system", "move both to the same one"),
    errno.ENOLCK: ("this file system has no locks", "put `data` on a local disk, or on NFS 4"),
    errno.EIO: ("the disk can't be read or written", "look at the disk, and run again"),
    errno.ESTALE: ("the network file system has lost it", "mount it again, and run again"),
}
_BY_TEXT = {os.strerror(number): number for number in _KINDS}
# Of two that begin alike, the longer first.
_REASONS = "|".join(map(re.escape, sorted(_BY_TEXT, key=len, reverse=True)))
# As DuckDB says it, and as Python does, wherever others have quoted them.
_DUCKDB_SAID = re.compile(rf'"(?P<path>/[^\n]*?)": (?P<reason>{_REASONS})')
_PYTHON_SAID = re.compile(
    rf"\[Errno \d+\] (?P<reason>{_REASONS})(?:: (?P<quote>['\"])(?P<path>.*?)(?P=quote))?"
)

# DuckDB bounds what it puts on a disk by the room that there is.
_NO_ROOM_TO_SPILL = "'max_temp_directory_size'"


def storage_error(error: BaseException) -> StorageFailed | None:
    """The error by name, where a file system is what refused; else None."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, StorageFailed):
            return cause
        found = _refusal_in(cause)
        if found:
            return refused(*found)
        cause = cause.__cause__
    return None


@contextmanager
def storage_errors_named() -> Iterator[None]:
    """Raises StorageFailed in the place of an error that a file system's refusal led to."""
    try:
        yield
    except Exception as error:
        named = storage_error(error)
        if named is None or named is error:
            raise
        raise named from error


def refused(number: int, path: str) -> StorageFailed:
    """The error that tells of one number of the system's, at this path; empty where unknown."""
    reason, remedy = _KINDS[number]
    if number in (errno.EACCES, errno.EPERM):
        remedy = _whose(Path(path)) if path else "run as the user whom the files belong to"
    return StorageFailed(reason, where=path, do=f"{remedy}; {INTACT}")


def why_unwritable(folder: Path) -> StorageFailed | None:
    """Why no file can be put into a folder, there or yet to be made; None where one can.

    Side effect: makes a file without a name in it, or in the one where it would be made.
    """
    if missing := leads_nowhere(folder):
        return missing
    at = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=at):
            return None
    except OSError as error:
        number = error.errno if error.errno in _KINDS else errno.EIO
        return refused(number, str(at))


def leads_nowhere(path: Path) -> StorageFailed | None:
    """The link by which a path leads to what isn't there; None where none does."""
    at = _nearest(path)
    if at.is_symlink() and not at.exists():
        return refused(errno.ENOENT, f"{at} -> {at.readlink()}")
    return None


def _nearest(path: Path) -> Path:
    """The file, folder or link itself, or the innermost around it that is there."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


def _refusal_in(error: BaseException) -> tuple[int, str] | None:
    if isinstance(error, OSError) and error.errno in _KINDS:
        # Of two, as with a copy, the second is the one that is written.
        path = error.filename2 or error.filename or ""
        return error.errno, os.fsdecode(path) if isinstance(path, (str, bytes)) else ""
    if _NO_ROOM_TO_SPILL in str(error):
        return errno.ENOSPC, ""
    said = _DUCKDB_SAID.search(str(error)) or _PYTHON_SAID.search(str(error))
    return (_BY_TEXT[said["reason"]], said["path"] or "") if said else None


def _whose(path: Path) -> str:
    """Whom the nearest file or folder that is there belongs to, and who runs."""
    path = _nearest(Path(os.path.realpath(path)))
    owner, here = path.lstat().st_uid, os.geteuid()
    if owner == here:
        return f"{path} is this user's own: allow it with chmod u+rwX"
    give = f"give it to this user (chown -R {here} {path})"
    if owner == 0:
        return f"{path} belongs to root, and this runs as user {here}: {give}"
    return (
        f"{path} belongs to user {owner}, and this runs as user {here}: run as user {owner} "
        f"(in containers: write LAKEFEED_UID={owner} into .env, then docker compose up -d), or "
        f"{give}"
    )
