"""Output that never fails on the terminal's encoding, and paths in UTF-8 whatever the locale."""

from __future__ import annotations

import codecs
import os
import sys
from io import TextIOWrapper

# ASCII for the characters we print, where the encoding lacks them.
_ASCII = {"✓": "+", "✗": "x", "·": "-", "…": "...", "→": "->", "←": "<-", "─": "-", "│": "|"}
_PLAIN = "lakefeed.plain"


def prepare_streams() -> None:
    """Keeps output from failing on a character that the encoding lacks.

    Side effects: streams that aren't UTF-8 print ASCII in place of such characters. DuckDB takes
    all file names as UTF-8; where Python doesn't, this process restarts in Python's UTF-8 mode.
    """
    if sys.getfilesystemencoding().lower() != "utf-8":
        _restart_in_utf8_mode()
    codecs.register_error(_PLAIN, _as_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(errors=_PLAIN)


def _restart_in_utf8_mode() -> None:
    encoding = f"{sys.stdout.encoding}:replace" if sys.stdout else "utf-8"
    environment = {"PYTHONIOENCODING": encoding, **os.environ, "PYTHONUTF8": "1"}
    command = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
    os.execve(sys.executable, command, environment)


def _as_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_ASCII.get(letter, "?") for letter in lacking), error.end
