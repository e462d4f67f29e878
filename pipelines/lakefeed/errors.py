"""The exceptions that Lakefeed raises on purpose, and their exit codes.

LakefeedError                 what happened, where, and what to do; carries the exit code
├── DeclarationError          sources.yaml, its catalogue or the command line is invalid (exit 2)
├── ExtraMissing              an optional dependency isn't installed; an ImportError too (exit 2)
├── SourceUnreachable         a database is unreachable or rejected the login (exit 3)
├── TableFailed               one table failed to load (exit 1)
├── Refused                   declined as a precaution: a lock, a shrinking refresh (exit 1)
│   └── Overtaken             another build has begun, which discards this one (exit 1)
├── StorageFailed             a file can't be read or written: disk full, read-only (exit 1)
├── NewerFormat               a newer Lakefeed wrote a file that this one would misread (exit 1)
└── BuildFailed               dbt failed to build a model, or a test failed (exit 1)
    └── WarehouseDamaged      the warehouse can't be read; retrying won't help (exit 1)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

EXIT_OK = 0
EXIT_PARTLY_FAILED = 1
EXIT_DECLARATION = 2
EXIT_UNREACHABLE = 3


class LakefeedError(Exception):
    """Base class: `what` happened, `where` (file:line, table or load) and what to `do` about it.

    Args:
        what: one sentence without secrets.
        where: `sources.yaml:12:5`, `shop.orders` or a path; empty if the error has no location.
        do: the next step for the user.
    """

    exit_code: ClassVar[int] = EXIT_PARTLY_FAILED

    def __init__(self, what: str, *, where: str = "", do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.do = do

    def as_json(self) -> dict[str, str]:
        """The three parts as a JSON object, for `--json`."""
        return {"what": self.what, "where": self.where, "do": self.do}

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """Documents keep the three parts of an error, but not its class."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            _error_from,
            serialization=core_schema.plain_serializer_function_ser_schema(LakefeedError.as_json),
        )

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n  {self.do}" if self.do else ""
        return f"{place}{self.what}{remedy}"


def _error_from(parts: Any) -> LakefeedError:
    if isinstance(parts, LakefeedError):
        return parts
    return LakefeedError(parts["what"], where=parts["where"], do=parts["do"])


@dataclass(frozen=True)
class Problem:
    """One mistake in a file: its location, what was found, and what was expected."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class DeclarationError(LakefeedError):
    """The declaration is invalid. Carries every problem found, not just the first."""

    exit_code = EXIT_DECLARATION

    def __init__(
        self,
        what: str = "",
        *,
        where: str = "",
        do: str = "",
        problems: Sequence[Problem] = (),
    ) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column)))
        listed = "\n".join(str(problem) for problem in self.problems)
        super().__init__("\n".join(part for part in (what, listed) if part), where=where, do=do)


class ExtraMissing(LakefeedError, ImportError):
    """An optional dependency isn't installed; `do` is the line that installs it."""

    exit_code = EXIT_DECLARATION


class SourceUnreachable(LakefeedError):
    """A declared source can't be reached: wrong host, port, database, user or password."""

    exit_code = EXIT_UNREACHABLE


class TableFailed(LakefeedError):
    """One table failed to load. The other tables continue."""


class Refused(LakefeedError):
    """Lakefeed declined to continue. The message names the flag that overrides this."""


class Overtaken(Refused):
    """Another build has begun since this one, and discarded what this one built."""


class StorageFailed(LakefeedError):
    """A file can't be read or written: `where` is the path, `what` the reason."""


class NewerFormat(LakefeedError):
    """The format of a file, `wrote`, is newer than this version of Lakefeed can read."""

    def __init__(self, what: str, *, where: str = "", do: str = "", wrote: str = "") -> None:
        super().__init__(what, where=where, do=do)
        self.wrote = wrote


class BuildFailed(LakefeedError):
    """dbt failed to build a model, or a test failed."""


class WarehouseDamaged(BuildFailed):
    """A warehouse file is corrupt or unreadable by this DuckDB version. It can be rebuilt."""
