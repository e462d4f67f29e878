"""What the columns of a select are made of: sqlglot reads it, we follow each through its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

_DIALECT = "duckdb"
_CHOOSING = ("having", "qualify", "order", "limit", "offset", "distinct")


@dataclass(frozen=True)
class Origin:
    """A column of a table of the source: `shop.customers`, `city`.

    `unchanged` tells that the value is passed on as it is, through selects, joins and renames; else
    something is made from it.
    """

    table: str
    column: str
    unchanged: bool


@dataclass(frozen=True)
class Column:
    """Where a column comes from, and which columns of tables a join made it equal to."""

    origins: frozenset[Origin] = frozenset()
    equals: frozenset[Origin] = frozenset()


# Columns by name, in lower case; None for one that can't be followed.
Columns = dict[str, Column | None]
# Columns of tables and models by schema and name; None for a model that can't be followed.
Relations = Mapping[tuple[str, str], Columns | None]


def columns_of_select(sql: str, relations: Relations) -> Columns | str:
    """The columns of a select over these relations; why not, where it can't be read at all.

    What it reads besides, such as a seed, comes from no table of the source.
    """
    try:
        parsed = _values_alone(parse_one(sql, dialect=_DIALECT))
        qualified = qualify(
            parsed,
            dialect=_DIALECT,
            schema=_schema(parsed, relations),
            # What isn't known, such as the model itself, must not keep the rest from being read.
            allow_partial_qualification=True,
            validate_qualify_columns=False,
            quote_identifiers=False,
        )
        root = build_scope(qualified)
        return _Followed(relations).columns_of(root) if root else "it is no select"
    except Exception as error:  # noqa: BLE001 - what sqlglot can't read is not ours to fail of
        return str(error).split("\n", 1)[0].split(". Line", 1)[0]


def _values_alone(parsed: exp.Expr) -> exp.Expr:
    """The select without what only chooses and orders rows, but for equations of columns.

    There incremental models ask for themselves, whose columns aren't known yet.
    """
    for select in list(parsed.find_all(exp.Select)):
        for part in _CHOOSING:
            select.set(part, None)
        where = select.args.get("where")
        if where:
            select.set("where", None)
            kept = [part for part in _parts(where.this) if _sides(part)]
            if kept:
                select.where(*kept, copy=False)
    return parsed


def _schema(parsed: exp.Expr, relations: Relations) -> dict[str, Any]:
    """The columns of what it reads, so that stars can be written out."""
    schema: dict[str, Any] = {}
    for table in parsed.find_all(exp.Table):
        columns = relations.get((table.db.lower(), table.name.lower()))
        if columns:
            catalog = schema.setdefault(table.catalog, {}).setdefault(table.db, {})
            catalog[table.name] = dict.fromkeys(columns, "unknown")
    return schema


class _Followed:
    """One reading of a select: its scopes, each followed once."""

    def __init__(self, relations: Relations) -> None:
        self._relations = relations
        self._done: dict[int, Columns] = {}

    def columns_of(self, scope: Scope) -> Columns:
        """The columns that a select, or several in a union, give.

        To a recursive CTE that reads itself, it is the first of its parts.
        """
        select = id(scope.expression)
        if select not in self._done:
            self._done[select] = self._follow(scope)
        return self._done[select]

    def _follow(self, scope: Scope) -> Columns:
        if isinstance(scope.expression, exp.SetOperation):
            return _united(scope, [self.columns_of(one) for one in scope.set_operation_scopes])
        if not isinstance(scope.expression, exp.Select):
            return {}
        equal = _equal_columns(scope.expression)
        return {
            selected.alias_or_name.lower(): self._value(scope, selected.unalias(), equal)
            for selected in scope.expression.selects
            if not selected.is_star
        }

    def _value(self, scope: Scope, value: exp.Expr, equal: _Equal) -> Column | None:
        passed_on = _passed_on(value, equal)
        if passed_on:
            return self._passed_on(scope, passed_on, equal)
        if value.find(exp.Star, exp.Columns) and not value.find(exp.Count):
            return None
        return _made_from(self._read(scope, column) for column in _columns_in(value))

    def _passed_on(self, scope: Scope, column: exp.Column, equal: _Equal) -> Column | None:
        found = self._read(scope, column)
        if found is None:
            return None
        others = [self._read(scope, other) for other in equal.get(_name(column), ())]
        same = {
            origin
            for other in others
            if other
            for origin in other.origins | other.equals
            if origin.unchanged
        }
        return Column(found.origins, (found.equals | same) - found.origins)

    def _read(self, scope: Scope | None, column: exp.Column) -> Column | None:
        """A column of what a select reads, or of what the selects around it read."""
        name = column.name.lower()
        if not column.table:
            # What a lambda is about is read beside it.
            in_lambda = column.find_ancestor(exp.Lambda)
            return Column() if in_lambda else self._only_one(scope, name)
        while scope is not None:
            if column.table in scope.sources:
                return self._column_of(scope, scope.sources[column.table], name)
            for subquery in scope.subquery_scopes:
                for inner in subquery.traverse():
                    if column.table in inner.sources:
                        return self._column_of(inner, inner.sources[column.table], name)
            scope = scope.parent
        return None

    def _only_one(self, scope: Scope | None, name: str) -> Column | None:
        """A column that is known of no relation, where only one isn't known, such as a seed."""
        sources = [source for _, source in scope.selected_sources.values()] if scope else []
        foreign = [one for one in sources if isinstance(one, exp.Table) and not self._knows(one)]
        return self._column_of_relation(foreign[0], name) if len(foreign) == 1 else None

    def _knows(self, table: exp.Table) -> bool:
        return bool(self._relations.get((table.db.lower(), table.name.lower())))

    def _column_of(self, scope: Scope, source: exp.Expr | Scope, name: str) -> Column | None:
        if not isinstance(source, Scope):
            return self._column_of_relation(source, name)
        if isinstance(source.expression, exp.UDTF):
            columns = _columns_in(source.expression)
            return _made_from(self._read(scope, column) for column in columns)
        return self.columns_of(source).get(name)

    def _column_of_relation(self, table: exp.Expr, name: str) -> Column | None:
        if isinstance(table.this, exp.ReadParquet | exp.ReadCSV):
            return None
        columns = self._relations.get((table.text("db").lower(), table.name.lower()), {})
        return Column() if columns == {} else (columns or {}).get(name)


# For each column, those that conditions of the same select make equal to it.
_Equal = dict[tuple[str, str], list[exp.Column]]


def _equal_columns(select: exp.Select) -> _Equal:
    classes: list[dict[tuple[str, str], exp.Column]] = []
    for left, right in _equations(select):
        pair = {_name(left): left, _name(right): right}
        touching = [one for one in classes if one.keys() & pair.keys()]
        classes = [one for one in classes if one not in touching]
        classes.append({k: v for one in (*touching, pair) for k, v in one.items()})
    return {
        name: [other for key, other in one.items() if key != name]
        for one in classes
        for name in one
    }


def _equations(select: exp.Select) -> Iterator[tuple[exp.Column, exp.Column]]:
    where = select.args.get("where")
    conditions = [join.args.get("on") for join in select.args.get("joins") or ()]
    for condition in (*conditions, where.this if where else None):
        for part in _parts(condition):
            sides = _sides(part)
            if sides:
                yield sides


def _parts(condition: exp.Expr | None) -> Iterable[exp.Expr]:
    """What must all be true."""
    if condition is None:
        return ()
    return condition.flatten() if isinstance(condition, exp.And) else (condition,)


def _sides(part: exp.Expr) -> tuple[exp.Column, exp.Column] | None:
    """The columns that a condition makes equal."""
    if not isinstance(part, exp.EQ):
        return None
    left, right = part.this, part.expression
    both = isinstance(left, exp.Column) and isinstance(right, exp.Column)
    return (left, right) if both else None


def _passed_on(value: exp.Expr, equal: _Equal) -> exp.Column | None:
    """The column that a value is: as it stands, as the one that a group agrees in, or, where it is
    joined by `using`, either side.
    """
    if isinstance(value, exp.Paren | exp.AnyValue | exp.IgnoreNulls):
        return _passed_on(value.this, equal)
    if isinstance(value, exp.Column):
        return value
    if isinstance(value, exp.Coalesce):
        parts = [value.this, *value.expressions]
        same = {_name(part) for part in parts if isinstance(part, exp.Column)}
        if len(same) == len(parts):
            first: exp.Column = parts[0]
            alike = {_name(first), *(_name(other) for other in equal.get(_name(first), ()))}
            return first if same <= alike else None
    return None


def _columns_in(value: exp.Expr) -> Iterator[exp.Column]:
    return value.find_all(exp.Column)


def _name(column: exp.Column) -> tuple[str, str]:
    return (column.table.lower(), column.name.lower())


def _made_from(columns: Iterable[Column | None]) -> Column | None:
    origins: set[Origin] = set()
    for column in columns:
        if column is None:
            return None
        origins |= {replace(origin, unchanged=False) for origin in column.origins}
    return Column(frozenset(origins))


def _united(scope: Scope, parts: list[Columns]) -> Columns:
    left, right = parts
    by_name = scope.expression.args.get("by_name")
    names = list(dict.fromkeys([*left, *right])) if by_name else list(left)
    beside = right if by_name else dict(zip(left, right.values(), strict=False))
    return {name: _either(left.get(name, Column()), beside.get(name, Column())) for name in names}


def _either(one: Column | None, other: Column | None) -> Column | None:
    """A column that comes from one place in some rows, and from another in others."""
    if one is None or other is None:
        return None
    both = one.origins | other.origins
    origins = both - {replace(origin, unchanged=True) for origin in both if not origin.unchanged}
    # Where the one is a constant, as null often is, the other is as equal as it was.
    both_equal = (
        one.equals & other.equals if one.origins and other.origins else one.equals | other.equals
    )
    return Column(origins, both_equal - origins)
