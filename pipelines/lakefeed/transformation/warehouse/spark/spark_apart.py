"""What stands apart from the published warehouse on Spark: so far dbt's documentation alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.errors import Refused
from lakefeed.transformation.dbt_adapter.runner import BuildResult, run_dbt
from lakefeed.transformation.targets.spark import Spark


@dataclass(frozen=True)
class SparkApart:
    """Runs commands of dbt that only read the catalog; refuses to build."""

    project: Project
    spark: Spark
    path: Path

    def fill(self) -> None:
        raise _refused()

    def fill_without_rows(self) -> None:
        """Nothing: dbt inspects the tables where they are."""

    def run_dbt(self, command: str, arguments: Sequence[str]) -> BuildResult:
        if command == "build":
            raise _refused()
        return run_dbt(self.project, command, arguments, self.spark)

    def keep_failing_rows(self, result: BuildResult, beside: Path | None = None) -> BuildResult:  # noqa: ARG002
        return result


def _refused() -> Refused:
    return Refused(
        "`warehouse: {type: spark}` can't build apart from what is published",
        do="build with a second project that has the same `raw.url` and another catalog "
        "(docs/spark.md)",
    )
