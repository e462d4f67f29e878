"""Names that PostgreSQL allows: up to 63 bytes, of anything but a zero byte."""

from __future__ import annotations

from hypothesis import strategies as st

# What means something to SQL, psycopg2, YAML, fnmatch, Jinja, Python's formats, a path, a shell.
_SIGNS = (
    *"\"'`\\%.*?[]{}()<>/|:;,~!@#$^&+=- \t\n\r\x01\x7f\x85\u2028\ufeff",
    *("%s", "%(x)s", "{{", "}}", "{%", "%}", "{#", "#}", "--", "/*", "''", '""', "..", "${HOME}"),
    *(": ", " #", "- ", "__", "$$"),
)
_WORDS = (
    *("null", "~", "yes", "on", "1e3", "0x1F", "1:30", "2026-01-31", ".inf", "<<", "=", "select"),
    *("con", "nul", "aux.txt", "prn", "..", ".", "public", "xmin", "größe", "änderung", "ß"),
    *("名前", "имя", "İ", "ı", "ǅ", "e\u0301", "é", "\u200d", "T", "t", "x"),
    *("a" * 63, "ü" * 31, "名" * 21),
)
_pieces = st.sampled_from(_SIGNS + _WORDS) | st.characters(
    exclude_categories=["Cs"], exclude_characters="\0"
)

names = (
    st.lists(_pieces, min_size=1, max_size=6).map("".join).filter(lambda n: len(n.encode()) <= 63)
)
