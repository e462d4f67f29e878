"""A mistake in a query over several lines is found where it is written."""

from __future__ import annotations

import pytest

from lakefeed.declaration.document.positions import parse_document
from lakefeed.declaration.document.written_text import written_text

_FORMS = {
    "plain": "a: {query: select x from t}\n",
    "plain over lines": "a:\n  query: select\n    id,\n    x\n",
    "block": "a:\n  query: |-\n    select\n      x\n    from t\n",
    "folded block": "a:\n  query: >\n\n    select id,\n    x from t\n",
    "indented block": "a:\n  query: |2\n      select\n    x\n",
    "single quotes": "a: {query: 'select ''y'', x'}\n",
    "double quotes": 'a: {query: "select\n  x"}\n',
    "breaks of windows": "a:\r\n  query: |\r\n    select\r\n    x\r\n",
}


@pytest.mark.parametrize("form", _FORMS)
def test_a_character_is_found_in_every_form_of_text(form: str) -> None:
    document = parse_document(_FORMS[form], "f.yaml")
    query = document.data["a"]["query"].strip()

    where = written_text(document, ("a", "query"), query).where(query.index("x"))

    name, line, column = where.split(":")
    written = _FORMS[form].splitlines()[int(line) - 1]
    assert (name, written[int(column) - 1 :].startswith("x")) == ("f.yaml", True)


def test_with_escapes_the_beginning_stands_for_all_of_it() -> None:
    document = parse_document('a: {query: "select \\x78, y"}\n', "f.yaml")

    assert written_text(document, ("a", "query"), "select x, y").where(10) == "f.yaml:1:12"
