"""Reads a declared `query` without a connection: that it is one read-only statement, and of what.

This catches mistakes. It isn't a security boundary: that is what the role may do
(docs/guarantees.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from lakefeed.declaration.table_names import spelled

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.errors import ParseError, TokenError
    from sqlglot.tokenizer_core import Token

    from lakefeed.declaration.table import Table


_BEGINNINGS = ("SELECT", "WITH", "VALUES", "L_PAREN", "TABLE")


class NotOneRead(ValueError):
    """The query isn't one read-only statement; the message completes "it".

    Attributes:
        offset: the character of the query that it is about.
    """

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True)
class Statement:
    """A query that only reads.

    Attributes:
        text: its tokens without comments and line breaks, by which edits are recognised.
        names: everything in it that may be the name of a table or column.
        functions: everything in it that may be the name of a function.
        tables: schema (None if it isn't written) and name of each table that it reads, as far as
            its text shows.
    """

    text: str
    names: tuple[str, ...]
    functions: tuple[str, ...]
    tables: tuple[tuple[str | None, str], ...]


@lru_cache(maxsize=256)
def read_statement(query: str) -> Statement:
    """Parses a query in PostgreSQL's dialect.

    Args:
        query: without a semicolon at its end.

    Raises:
        NotOneRead: it can't be parsed, or isn't one `select`, `with … select` or `values`.
    """
    # Imported late: it takes as long as probing a table, and few tables are queries.
    import sqlglot
    from sqlglot.errors import ParseError, SqlglotError, TokenError

    tokens: list[Token] = []
    try:
        tokens = sqlglot.tokenize(query, dialect="postgres")
        kinds = [token.token_type.name for token in tokens]
        if not kinds or kinds[0] not in _BEGINNINGS:
            raise NotOneRead("must be a `select`, `with … select` or `values`")
        if "SEMICOLON" in kinds:
            second = tokens[kinds.index("SEMICOLON") :]
            raise NotOneRead("contains more than one statement", second[0].start)
        tree = _only_read(sqlglot.parse(query, dialect="postgres"), tokens)
    except ParseError as error:
        raise _unparsed(error, tokens) from None
    except TokenError as error:
        raise _unended(error, query) from None
    except SqlglotError:
        raise NotOneRead("can't be parsed") from None
    texts = [query[token.start : token.end + 1] for token in tokens]
    words = [
        token.text if text.startswith('"') else token.text.lower()
        for token, text in zip(tokens, texts, strict=True)
        if not text.startswith("'")
    ]
    followed = zip(words, [*texts[1:], ""], strict=False)
    return Statement(
        text=" ".join(texts),
        names=tuple(dict.fromkeys(words)),
        functions=tuple(dict.fromkeys(word for word, following in followed if following == "(")),
        tables=tuple(dict.fromkeys(_tables_of(tree))),
    )


def tables_read(table: Table) -> tuple[str, ...]:
    """The names of the tables that a declared query reads, as far as its text shows.

    Names without a schema are given that of the source. Empty for a table, and for a query that
    can't be parsed.
    """
    if table.query is None:
        return ()
    try:
        found = read_statement(table.query).tables
    except NotOneRead:
        return ()
    return tuple(dict.fromkeys(spelled(schema or table.schema, name) for schema, name in found))


def _only_read(statements: list[exp.Expr | None], tokens: list[Token]) -> exp.Expr:
    """The statement that consists of these tokens.

    Raises:
        NotOneRead: there are several, or it does more than read.
    """
    from sqlglot import exp

    if len(statements) != 1:
        raise NotOneRead("contains more than one statement")
    (tree,) = statements
    if not isinstance(tree, exp.Query | exp.Values):
        raise NotOneRead("must be a `select`, `with … select` or `values`")
    for node in tree.walk():
        if isinstance(node, exp.Insert | exp.Update | exp.Delete | exp.Merge):
            refused = f"contains `{node.key}`, but must only read"
            raise NotOneRead(refused, _start_of(node.key, tokens))
        if node.args.get("locks"):
            refused = "locks rows (`for update` or `for share`), but must only read"
            raise NotOneRead(refused, _start_of("for", tokens))
        if node.args.get("into"):
            refused = "creates a table (`into`), but must only read"
            raise NotOneRead(refused, _start_of("into", tokens))
    return tree


def _start_of(word: str, tokens: list[Token]) -> int:
    """Where a keyword stands first."""
    strings = ("STRING", "IDENTIFIER")
    found = (t for t in tokens if t.text.lower() == word and t.token_type.name not in strings)
    return next((token.start for token in found), 0)


def _tables_of(tree: exp.Expr) -> list[tuple[str | None, str]]:
    """The tables that a statement names, without its common table expressions."""
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.scope import traverse_scope

    try:
        scopes = traverse_scope(tree)
    except SqlglotError:
        return []
    found = (source for scope in scopes for source in scope.sources.values())
    tables = [one for one in found if isinstance(one, exp.Table) and one.name]
    return [(_name_of(one.args.get("db")), _name_of(one.this) or "") for one in tables]


def _name_of(identifier: exp.Expr | None) -> str | None:
    if identifier is None:
        return None
    return identifier.name if identifier.args.get("quoted") else identifier.name.lower()


def _unparsed(error: ParseError, tokens: list[Token]) -> NotOneRead:
    found = (error.errors or [{}])[0]
    at = (
        token.start
        for token in tokens
        if [token.line, token.col] == [found.get("line"), found.get("col")]
    )
    near = found.get("highlight")
    return NotOneRead(f"can't be parsed{f' near `{near}`' if near else ''}", next(at, 0))


def _unended(error: TokenError, query: str) -> NotOneRead:
    """What is said of a text or a name in quotes that doesn't end."""
    found = re.search(r"from (\d+):(\d+)$", str(error.__cause__ or error))
    if not found:
        return NotOneRead("can't be parsed")
    lines = query.splitlines(keepends=True)
    offset = sum(map(len, lines[: int(found[1]) - 1])) + int(found[2])
    quote = query[offset : offset + 1]
    return NotOneRead(f"can't be parsed: the `{quote}` has no end", offset)
