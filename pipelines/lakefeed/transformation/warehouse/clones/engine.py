"""What an engine must do for its tables to be a warehouse whose versions are clones.

Names of schemas and relations are those that dbt's models have; an engine may spell them otherwise
in its SQL. It is one session or several, and each call runs when it is made.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlglot import exp

from lakefeed.transformation.dbt_adapter.runner import Target
from lakefeed.transformation.warehouse.base.public_names import public_name
from lakefeed.transformation.warehouse.registered.views import Place

# What readers query, whatever the layer of a model.
PUBLIC = "public"
# What is said of an engine on which nobody has run the conformance test.
NEVER_ON_AN_ACCOUNT = "written to the documentation, not yet run on an account"
FAILURES = "test_failures"


@dataclass(frozen=True)
class Stored:
    """A table or view: of a version, or as it is now where dbt builds.

    Attributes:
        stamp: what differs whenever the table does; empty for a view, and where it isn't known.
        held: of a version's table, the schema in which its clone is; that has the public name.
        sql: the query of a view, which reads what dbt builds.
    """

    schema: str
    name: str
    kind: str
    stamp: str = ""
    held: str = ""
    sql: str = ""

    @property
    def key(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def public_name(self) -> str:
        """Its name for readers, and in `held`."""
        return public_name(self.schema, self.name)

    @property
    def place(self) -> Place:
        """Where its rows are: those of the version, or those that dbt builds."""
        return (self.held, self.public_name) if self.held else (self.schema, self.name)


@dataclass(frozen=True)
class Shown:
    """What readers see of a version, all by public name.

    Attributes:
        tables: where the clone of each table is.
        views: the query of each view, which reads clones.
        same: which of these readers see already.
        gone: what readers still see and no longer should.
    """

    tables: Mapping[str, Place]
    views: Mapping[str, str]
    same: Collection[str] = ()
    gone: Collection[str] = ()


class Engine(Protocol):
    """An engine with clones, and the place in it that is the warehouse."""

    @property
    def name(self) -> str:
        """The engine's name, for people."""

    @property
    def place(self) -> str:
        """Where the warehouse is, from anywhere, without secrets."""

    @property
    def dialect(self) -> str:
        """Its SQL, as sqlglot names it."""

    @property
    def unread(self) -> type[Exception]:
        """What `rows` and `arrow` raise if the engine refuses a statement."""

    def target(self, prefix: str) -> Target:
        """What dbt opens, to build in schemas whose names begin so."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Runs one statement; returns its rows."""

    def arrow(self, sql: str) -> Any:
        """The rows of a query as an Arrow table, with the values that DuckDB has for their types.

        Its columns have the names that models have.
        """

    def quoted(self, *names: str) -> str:
        """A name with these parts in its SQL."""

    def folded(self, name: str) -> str:
        """The name that listings have for what a model names so."""

    def name_of(self, identifier: exp.Identifier) -> str:
        """What an identifier in its SQL names, as listings have it."""

    def text(self, value: str) -> str:
        """A text as a literal."""

    def moment(self, value: dt.datetime) -> str:
        """A moment as a literal."""

    def microseconds(self, moment: str) -> str:
        """The expression for the microseconds from 1970 to a moment."""

    def texts(self, values: Sequence[str]) -> str:
        """The expression for a list of texts."""

    def texts_of(self, value: Any) -> list[str]:
        """The list of texts that `rows` returns as this value."""

    def type_named(self, lake_type: str) -> str:
        """Its name for the type that holds the values of a lake type, or of `varchar[]`."""

    def key_value(self, lake_type: str, text: str) -> str:
        """A value of a key, given as DuckDB's text of it, as models hold it."""

    def tried(self, column: str, lake_type: str) -> str:
        """The expression for a column as a value of this type; null if it has none."""

    def comparison(self, form: str) -> str:
        """How keys are compared by this form, which is written for DuckDB."""

    def columns(self, item: str) -> list[str]:
        """The names of the columns of a from-clause item, as models have them."""

    def columns_in(self, schema: str, column: str) -> set[str]:
        """The names of the relations in a schema that have this column."""

    def schemas(self) -> set[str]:
        """The names of all schemas."""

    def stored(self, schemas: Iterable[str]) -> list[Stored]:
        """The tables and views in these schemas now."""

    def create_schema(self, name: str) -> None:
        """Creates a schema unless it exists."""

    def drop_schema(self, name: str) -> None:
        """Drops a schema and all that it contains, if it exists."""

    def clone(self, source: Place, target: Place) -> None:
        """Makes a table, or replaces it, by a clone of another, which copies no rows."""

    def refuse_others(self, known: Collection[str]) -> None:
        """Checks that `show` won't remove what others have made.

        Args:
            known: the public names that a version has had.

        Raises:
            Refused: it would.
        """

    def show(self, shown: Shown) -> None:
        """Makes `PUBLIC` what readers should see: all at once, or each relation by itself.

        Called again with the same after a kill.
        """

    def clock(self) -> int:
        """Microseconds since 1970 by a clock that all builders share."""

    def is_missing(self, error: Exception) -> bool:
        """Whether a statement failed because there is no such table or schema."""

    def is_conflict(self, error: Exception) -> bool:
        """Whether a statement failed because another writer was faster."""
