"""What readers of a warehouse see: its tables, or the views of `public`."""

from __future__ import annotations

from collections.abc import Mapping

from lakefeed.declaration.project import Project
from lakefeed.transformation.targets.ducklake import lake_of, opened
from lakefeed.transformation.warehouse.declared import warehouse_of

Seen = dict[str, list[tuple[object, ...]]]


def seen_by_readers(project: Project, columns: Mapping[str, str]) -> Seen:
    """Rows of these relations, sorted.

    Args:
        columns: the columns to read, by `schema.name` of a model.
    """
    kind = project.declaration.warehouse.type
    if kind == "ducklake":
        with opened(lake_of(project)) as session:
            return {
                relation: _sorted(session.execute(_query(_public(relation), listed)).fetchall())
                for relation, listed in columns.items()
            }
    is_public = kind in ("spark", "snowflake", "bigquery")
    published = warehouse_of(project).published
    with published.open():
        return {
            relation: _sorted(
                published.query(_query(_public(relation) if is_public else relation, listed))[1]
            )
            for relation, listed in columns.items()
        }


def _query(relation: str, columns: str) -> str:
    return f"select {columns} from {relation}"


def _public(relation: str) -> str:
    return f"public.{relation.partition('.')[2]}"


def _sorted(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return sorted(rows, key=lambda row: [(value is None, str(value)) for value in row])
