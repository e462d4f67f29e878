"""Where in a YAML file the characters of a value are written, also of one over several lines."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace

from lakefeed.declaration.document.positions import Document, YamlPath

# What YAML takes for the end of a line.
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@dataclass(frozen=True)
class WrittenText:
    """A text of a file, and where each of its words begins: its place in the text, its line and its
    column. Without words, its characters can't be told in the file, such as after escapes."""

    file: str
    line: int
    column: int
    words: tuple[tuple[int, int, int], ...] = ()

    def where(self, offset: int | None) -> str:
        """`file:line:column` of a character; of the whole text if it isn't known."""
        before = [word for word in self.words if offset is not None and word[0] <= offset]
        if offset is None or not before:
            return f"{self.file}:{self.line}:{self.column}"
        start, line, column = before[-1]
        return f"{self.file}:{line}:{column + offset - start}"


def written_text(document: Document, path: YamlPath, text: str) -> WrittenText:
    """Where the text is written that the value at this path consists of, or contains."""
    place = document.place_of(path, value=True)
    whole = WrittenText(document.file, place.line, place.column)
    ends = [0, *(found.end() for found in _BREAK.finditer(document.text))]
    at = ends[place.line - 1] + place.column - 1
    quote = document.text[at]
    if quote in "|>":
        at = ends[place.line]
    elif quote in "'\"":
        at += 1
    words: list[tuple[int, int, int]] = []
    for found in re.finditer(r"\S+", text):
        word = found[0].replace("'", "''") if quote == "'" else found[0]
        gap = re.compile(r"\s*").match(document.text, at)
        at = gap.end() if gap else at
        if not document.text.startswith(word, at):
            return whole
        line = bisect_right(ends, at)
        words.append((found.start(), line, at - ends[line - 1] + 1))
        at += len(word)
    return replace(whole, words=tuple(words))
