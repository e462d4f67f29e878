"""Finds passwords that stand in `sources.yaml` itself."""

from __future__ import annotations

import re

from lakefeed.declaration.environment.references import with_defaults

_URL_PASSWORD = re.compile(r"://[^:@/\s]*:(?!\d+/)[^@\n]+@")
_KEYWORD_PASSWORD = re.compile(r"\bpassword\s*=(?!\s*\$\{)\s*\S", re.IGNORECASE)


def holds_password(text: str) -> bool:
    """Whether the text contains a connection with a literal password, not a `${VARIABLE}`."""
    return bool(
        _URL_PASSWORD.search(with_defaults(text))
        or _KEYWORD_PASSWORD.search(with_defaults(text, without="${…}"))
    )
