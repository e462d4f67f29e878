"""`.env`: what Lakefeed reads, and which lines Docker Compose reads differently."""

from __future__ import annotations

from pathlib import Path

import pytest
from dotenv import set_key

from lakefeed.declaration.environment.env_file import disagreements, read_variables
from lakefeed.errors import DeclarationError
from lakefeed.orchestration.checks.check import check
from tests.conftest import Lake

AGREED = {
    "URL=postgresql://u:p@h/db": "postgresql://u:p@h/db",
    "URL = spaced ": "spaced",
    "export URL=exported": "exported",
    "URL=a#b": "a#b",
    "URL=a # a comment": "a",
    "URL='a # b'": "a # b",
    'URL="a # b" # a comment': "a # b",
    "URL='pa$word$$'": "pa$word$$",
    "URL='${NOT_A_VARIABLE}'": "${NOT_A_VARIABLE}",
    "URL=a$": "a$",
    "URL=a$1b$": "a$1b$",
    "URL='it\\'s'": "it's",
    'URL="say \\"so\\""': 'say "so"',
    'URL="two\\nlines"': "two\nlines",
    "URL=back\\slash": "back\\slash",
    'URL="back\\\\slash"': "back\\slash",
    "URL=": "",
    "URL=''": "",
    "URL=a'b\"c": "a'b\"c",
    "HOST=h\nURL=postgresql://${HOST}/db": "postgresql://h/db",
    'HOST=h\nURL="postgresql://${HOST}/${DB:-db}"': "postgresql://h/db",
}
DISAGREED = {
    "URL=pa$word": "single quotes: URL='…'",
    'URL="pa$word"': "single quotes: URL='…'",
    "URL=a$$b": "single quotes: URL='…'",
    "URL=pa$word'": "$ as %24",
    'URL="a\\$b"': "$ as %24",
    "URL='a\\\\b'": "\\ as %5C",
    "URL= # a comment": "single quotes",
    "URL=a\t# a comment": "single quotes",
    "URL=${X:?must be set}": "single quotes",
    'URL="it\\\'s"': "' as %27",
    "URL='a'b": "write it as NAME='value'",
    "URL='not closed": "write it as NAME='value'",
}


@pytest.mark.parametrize("text", AGREED, ids=ascii)
def test_lines_that_both_read_alike_are_not_reported(tmp_path: Path, text: str) -> None:
    (tmp_path / ".env").write_text(f"# secrets\n\n{text}\nLAST=1\n")

    assert read_variables(tmp_path / ".env")["URL"] == AGREED[text]
    assert list(disagreements(tmp_path / ".env")) == []


@pytest.mark.parametrize("text", DISAGREED, ids=ascii)
def test_lines_that_compose_reads_differently_are_reported_without_their_value(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / ".env").write_text(f"# secrets\n\n{text}\nLAST=1\n")

    reported = [str(line) for line in disagreements(tmp_path / ".env")]

    assert reported
    assert reported[0].startswith(".env:3: Docker Compose reads ")
    assert DISAGREED[text] in reported[0]
    assert text.partition("=")[2].strip() not in reported[0]


@pytest.mark.parametrize("url", ["a$b", "${x}", "a # b", "it's", 'say "so"', " $$ "])
def test_values_that_init_writes_are_read_alike_by_both(tmp_path: Path, url: str) -> None:
    set_key(tmp_path / ".env", "URL", url)

    assert read_variables(tmp_path / ".env") == {"URL": url}
    assert list(disagreements(tmp_path / ".env")) == []


def test_a_missing_file_sets_no_variables(tmp_path: Path) -> None:
    assert read_variables(tmp_path / ".env") == {}
    assert list(disagreements(tmp_path / ".env")) == []


def test_check_warns_of_such_lines_in_projects_with_a_compose_file(lake: Lake) -> None:
    lake.declare("a: {mode: full_refresh}")
    (lake.root / ".env").write_text(
        "LAKEFEED_TEST_URL=postgresql://u@h/db\nSHOP_DATABASE_URL=postgresql://u:pa$word@h/db\n"
    )

    def warned() -> list[str]:
        return [line for line in check(lake.project).warnings if line.startswith(".env")]

    with_containers = warned()
    for file in lake.root.glob("docker-compose*.yml"):
        file.unlink()

    assert with_containers == [
        ".env:2: Docker Compose reads SHOP_DATABASE_URL differently than Lakefeed; "
        "write it in single quotes: SHOP_DATABASE_URL='…'",
    ]
    assert warned() == []


def test_a_file_that_is_not_in_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("URL=größe".encode("latin-1"))

    with pytest.raises(DeclarationError, match="expected UTF-8 text"):
        read_variables(tmp_path / ".env")
