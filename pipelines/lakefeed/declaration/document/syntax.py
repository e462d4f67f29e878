"""Messages about text that isn't valid YAML."""

from __future__ import annotations

import re

import yaml

from lakefeed.errors import Problem


def problem_after(before: str, file: str, message: str) -> Problem:
    return Problem(file, before.count("\n") + 1, len(before) - before.rfind("\n"), message)


def code_of(character: int | str) -> int:
    return character if isinstance(character, int) else ord(character)


def syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    mark, begin = error.problem_mark or error.context_mark, error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    reason = str(error.problem or error.context).removeprefix("but ")
    if error.context and begin and (begin.line, begin.column) != (line - 1, column - 1):
        reason += f", {error.context} that starts at {begin.line + 1}:{begin.column + 1}"
    character = "".join(text.splitlines()[line - 1 : line])[column - 1 : column]
    hint = _reference_hint(error, text) or _syntax_hint(reason, character)
    return Problem(file, line, column, f"not valid YAML: {reason}{hint}")


def _reference_hint(error: yaml.MarkedYAMLError, text: str) -> str:
    """A hint where the braces of `${…}` are taken for those of a mapping."""
    mark, begin = error.problem_mark, error.context_mark
    if not (mark and begin and "while parsing a flow" in str(error.context)):
        return ""
    lines = text.splitlines()[begin.line : mark.line + 1]
    found = re.search(r"\$\{[^}\s]*\}?", "\n".join(lines)[begin.column :])
    return f'; within braces and brackets, quote references: "{found[0]}"' if found else ""


def _syntax_hint(reason: str, character: str) -> str:
    if "another document" in reason:
        return "; expected a single document, without `---` in the middle"
    if "undefined alias" in reason or "alphabetic or numeric" in reason:
        return '; quote names that start with `*` or `&`: "*"'
    if "mapping values are not allowed" in reason:
        return "; quote values that contain `: `, and indent keys of the same level equally"
    if "expected key" in reason:
        return "; indent keys of the same level equally"
    if character == "\t" or "tab character" in reason:
        return "; indent with spaces, not tabs"
    return f"; quote values that start with `{character}`" if "any token" in reason else ""
