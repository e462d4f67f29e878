"""Output in whatever encoding there is, and paths in UTF-8 whatever the locale says."""

from __future__ import annotations

import codecs
import os
import sys
from io import TextIOWrapper

# What we print beyond ASCII, as it looks where it can't be shown.
_PLAINER = {"✓": "+", "✗": "x", "·": "-", "…": "...", "→": "->", "←": "<-", "─": "-", "│": "|"}
_PLAIN = "lakefeed.plain"


def prepare_streams() -> None:
    """Makes sure that nothing that is printed can fail for want of a letter.

    Side effects: output that isn't in UTF-8 has something plainer for what its encoding lacks. To
    DuckDB all names of files are UTF-8: where they aren't to Python, this process begins again, in
    Python's UTF-8 mode.
    """
    if sys.getfilesystemencoding().lower() != "utf-8":
        _begin_in_utf8_mode()
    codecs.register_error(_PLAIN, _in_plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(errors=_PLAIN)


def _begin_in_utf8_mode() -> None:
    encoding = f"{sys.stdout.encoding}:replace" if sys.stdout else "utf-8"
    environment = {"PYTHONIOENCODING": encoding, **os.environ, "PYTHONUTF8": "1"}
    command = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
    os.execve(sys.executable, command, environment)


def _in_plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAINER.get(letter, "?") for letter in lacking), error.end
