"""What git must not take: the secret, data, and what is made again at any time."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from lakefeed.errors import Refused

_FILE = ".gitignore"
_SECRET = ".env"
_ADDED = "# Lakefeed: a secret, data, and what is made again at any time."


def refuse_tracked_secret(root: Path) -> None:
    """A file that git tracks is committed whatever is ignored.

    Raises:
        Refused: `.env` is such a file.
    """
    if _git(root, "ls-files", "--error-unmatch", "--", _SECRET) == 0:
        raise Refused(
            f"git tracks {root / _SECRET}, so the password in it would be committed",
            do=f"take it out of git first: git rm --cached {_SECRET}",
        )


def ignore(root: Path, lines: Sequence[str]) -> list[str]:
    """Adds to `.gitignore` those lines without which git would take files; returns what it added.

    Args:
        lines: as they stand in a `.gitignore`; `!` lines follow what they take exceptions from.

    Raises:
        Refused: git would take `.env` all the same, or the file can't be written.
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
        _append(path, [_ADDED, *missing])
    if not _is_ignored(root, _SECRET):
        raise Refused(
            f"git would take {root / _SECRET}, which holds the password, whatever {path} says",
            do=f"see why: git check-ignore --verbose --no-index {_SECRET}",
        )
    return missing


def _example(line: str) -> str:
    """A path that the line is about."""
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
            f"{path} can't be written ({error.strerror}), so git might take the password",
            do=f"make it writable, or add to it yourself: {' '.join(lines[1:])}",
        ) from None


def _is_ignored(root: Path, path: str) -> bool:
    """What git says of it; where there is no git or no repository yet, what the file says."""
    told = _git(root, "check-ignore", "--quiet", "--no-index", "--", path)
    if told in (0, 1):
        return told == 0
    file = root / _FILE
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    return _ignores(text, path)


def _ignores(text: str, path: str) -> bool:
    """The last line that is about it decides; patterns of several folders are taken for none."""
    ignored, parents = False, [path, *map(str, PurePosixPath(path).parents)]
    for line in text.splitlines():
        pattern = line.strip().removeprefix("!").strip("/")
        names = [*parents, *(part.rsplit("/", 1)[-1] for part in parents)]
        if pattern and any(fnmatchcase(name, pattern) for name in names):
            ignored = not line.strip().startswith("!")
    return ignored


def _git(root: Path, *arguments: str) -> int | None:
    """The exit code; None where git isn't installed."""
    try:
        ended = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.returncode
