"""Hashes, masks and cuts values in the source's own query, so that clear values never leave it."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lakefeed.declaration.models.columns import ColumnSettings
from lakefeed.sql import literal

# SHA-256 works on blocks of so many bytes (https://www.rfc-editor.org/rfc/rfc2104#section-2).
_BLOCK = 64
_INNER, _OUTER = 0x36, 0x5C
_FINGERPRINT_DIGITS = 16
# PostgreSQL shows an excerpt of a statement, which may begin and end within a literal.
_OF_A_KEY = re.compile(r"[0-9a-f]{16,}")


@dataclass(frozen=True)
class Protection:
    """How the values of one column are changed in the source's query.

    Attributes:
        settings: those of the column, with `hash`, `mask` or `truncate`.
        key: the key of a keyed hash; None if it has none, or if the plan only describes a load.
    """

    settings: ColumnSettings
    key: bytes | None = field(default=None, repr=False)

    def expression(self, column: str) -> str:
        """The SQL that reads this quoted column as text. Null stays null."""
        settings = self.settings
        if settings.mask is not None:
            return f"case when {column} is not null then {literal(settings.mask)}::text end"
        if settings.truncate is not None:
            return f"left({column}::text, {settings.truncate})"
        text = f"convert_to({column}::text, 'UTF8')"
        assert settings.hash is not None
        if settings.hash.key is None:
            return f"encode(sha256({text}), 'hex')"
        # PostgreSQL has HMAC only in an extension.
        assert self.key is not None, "the key of a keyed hash wasn't read"
        inner, outer = _pads_of(self.key)
        return f"encode(sha256({outer} || sha256({inner} || {text})), 'hex')"

    @property
    def described(self) -> str:
        """What the values depend on, without the key: `hashed with SHA-256`."""
        settings = self.settings
        if settings.mask is not None:
            return f"masked as {literal(settings.mask)}"
        if settings.truncate is not None:
            return f"truncated to {settings.truncate}"
        assert settings.hash is not None
        if settings.hash.key is None:
            return "hashed with SHA-256"
        shown = fingerprint(self.key) if self.key else settings.hash.key
        return f"hashed with HMAC-SHA-256 and the key {shown}"


def fingerprint(key: bytes) -> str:
    """Tells keys apart without telling anything about them."""
    made = hmac.new(key, b"lakefeed: fingerprint of a hash key", hashlib.sha256)
    return made.hexdigest()[:_FINGERPRINT_DIGITS]


def without_keys(text: str) -> str:
    """The message of an error about a statement, without what a key may be computed from."""
    return _OF_A_KEY.sub("…", text)


@contextmanager
def keys_hidden() -> Iterator[None]:
    """Removes from the errors raised in the block what a key may be computed from."""
    try:
        yield
    except Exception as error:
        raised: BaseException | None = error
        while raised is not None:
            raised.args = tuple(without_keys(a) if isinstance(a, str) else a for a in raised.args)
            raised = raised.__cause__ or raised.__context__
        raise


def _pads_of(key: bytes) -> tuple[str, str]:
    """The inner and the outer padded key of HMAC as SQL."""
    block = hashlib.sha256(key).digest() if len(key) > _BLOCK else key
    padded = block.ljust(_BLOCK, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in padded).hex() for pad in (_INNER, _OUTER))
    return f"decode('{inner}', 'hex')", f"decode('{outer}', 'hex')"
