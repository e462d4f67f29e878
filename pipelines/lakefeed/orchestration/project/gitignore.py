"""Keeps the secret, data and generated artifacts out of git."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from lakefeed.errors import Refused

_FILE = ".gitignore"
_HEADING = "# Lakefeed: secrets, data and generated artifacts"


def refuse_tracked_secret(root: Path, secret: str) -> None:
    """Refuses to write a secret into a tracked file: git commits it even if it is ignored.

    Args:
        secret: the name of the file.

    Raises:
        Refused: git tracks it.
    """
    if _git(root, "ls-files", "--error-unmatch", "--", secret) == 0:
        raise Refused(
            f"git tracks {root / secret}, so the password in it would be committed",
            do=f"untrack it first: git rm --cached {secret}",
        )


def ignore(root: Path, lines: Sequence[str], secret: str) -> list[str]:
    """Adds the lines that are missing to `.gitignore`; returns the added lines.

    Args:
        lines: lines of a `.gitignore`; a `!` line follows the line that it makes an exception to.
        secret: the name of the file that must be ignored.

    Raises:
        Refused: that file still isn't ignored, or `.gitignore` can't be written.
    """
    path = root / _FILE
    missing: list[str] = []
    was_added = False
    for line in lines:
        is_exception = line.startswith("!")
        was_added = was_added if is_exception else not _is_ignored(root, _example(line))
        if was_added:
            missing.append(line)
    if missing:
        _append(path, [_HEADING, *missing])
    if not _is_ignored(root, secret):
        raise Refused(
            f"git doesn't ignore {root / secret}, which contains the password, despite {path}",
            do=f"find out why: git check-ignore --verbose --no-index {secret}",
        )
    return missing


def _example(line: str) -> str:
    """A path that the line matches."""
    path = line.strip("/").replace("*", "raw")
    return f"{path}/example" if line.endswith("/") else path


def _append(path: Path, lines: Sequence[str]) -> None:
    try:
        before = path.read_bytes() if path.exists() else b""
        separator = b"" if not before else b"\n" if before.endswith(b"\n") else b"\n\n"
        with path.open("ab") as file:
            file.write(separator + "".join(f"{line}\n" for line in lines).encode())
    except OSError as error:
        raise Refused(
            f"{path} can't be written ({error.strerror}), so the password might be committed",
            do=f"make it writable, or add these lines yourself: {' '.join(lines[1:])}",
        ) from None


def _is_ignored(root: Path, path: str) -> bool:
    """Whether git ignores the path; without git or a repository, whether `.gitignore` lists it."""
    exit_code = _git(root, "check-ignore", "--quiet", "--no-index", "--", path)
    if exit_code in (0, 1):
        return exit_code == 0
    file = root / _FILE
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    return _ignores(text, path)


def _ignores(text: str, path: str) -> bool:
    """Whether the last matching line ignores the path. Patterns with slashes never match."""
    ignored, parents = False, [path, *map(str, PurePosixPath(path).parents)]
    for line in text.splitlines():
        pattern = line.strip().removeprefix("!").strip("/")
        names = [*parents, *(part.rsplit("/", 1)[-1] for part in parents)]
        if pattern and any(fnmatchcase(name, pattern) for name in names):
            ignored = not line.strip().startswith("!")
    return ignored


def _git(root: Path, *arguments: str) -> int | None:
    """Runs git and returns its exit code; None if git isn't installed or doesn't answer."""
    try:
        ended = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.returncode
