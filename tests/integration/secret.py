"""Passwords that nobody may see.

Each has a text before and after its odd characters, and neither may be seen: so none of the
spellings that libraries give it (escaped for libpq, for SQL, for JSON, for Python, encoded for a
URL, cut in two) is missed.
"""

from __future__ import annotations

from pathlib import Path

HEAD, TAIL = "canary", "yranac"
ODDEST = f"{HEAD}'\"\\@/:#?%&=+ $`{{}}[]()<>|;,~^!*é€'\\{TAIL}"


def assert_unseen(root: Path, *told: str) -> None:
    """Nothing that was told, and no file but `.env`, has a part of a password."""
    for part in (HEAD, TAIL):
        assert not [text for text in told if part in text]
        files = [path for path in root.rglob("*") if path.is_file() and path.name != ".env"]
        assert not [path for path in files if part.encode() in path.read_bytes()]
