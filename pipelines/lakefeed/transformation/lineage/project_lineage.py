"""Column lineage of all models, from their compiled SQL.

The SQL is what dbt last compiled, so this is the lineage of what was built. The generated models
over raw are macro calls; their columns follow from the declaration.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.transformation.generate.generated_files import has_history, is_generated
from lakefeed.transformation.generate.history_models import history_model_name
from lakefeed.transformation.generate.staged_columns import (
    StagedColumn,
    staged_columns,
    whole_columns,
)
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.lineage.column_lineage import (
    Column,
    Columns,
    Origin,
    columns_of_select,
)
from lakefeed.transformation.manifest import Model, compiled_sql, read_models, source_relations

_STAGING_COLUMNS = ("_dlt_load_id", "_staged_batch")
_HISTORY_COLUMNS = ("is_current", "loaded_at", "_was_deleted", "_dlt_load_id", "_staged_batch")
# Columns of history that derive from the cursor.
_FROM_CURSOR = ("valid_from", "valid_to", "_changed_at")
_SNAPSHOT_COLUMNS = ("dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to")


@dataclass(frozen=True)
class ModelLineage:
    """The origins of one model's columns, by lower-case name.

    Attributes:
        columns: origins of each column; empty for one that comes from no table, such as a
            constant. Columns that can't be traced are missing.
        equals: source columns that a join equates: after `join orders on orders.order_id =
            order_lines.order_id`, the lines' `order_id` is the orders' as well.
        unknown: why the lineage is unknown; empty if it is known.
    """

    columns: Mapping[str, frozenset[Origin]] = field(default_factory=dict)
    equals: Mapping[str, frozenset[Origin]] = field(default_factory=dict)
    unknown: str = ""

    def holding(self, table: str, column: str) -> tuple[str, ...]:
        """The model's columns with the unchanged values of a source column.

        Columns that it was passed on to come before columns that a join equates with it.
        """
        wanted = Origin(table, column, unchanged=True)
        places = (self.columns, self.equals)
        return tuple(name for place in places for name, found in place.items() if wanted in found)


@dataclass(frozen=True)
class Lineage:
    """The lineage of all models, by name, upstream models first."""

    models: Mapping[str, ModelLineage]

    def origins(self, model: str, column: str) -> frozenset[Origin] | None:
        """The origins of a column; None if unknown."""
        found = self.models.get(model)
        return found.columns.get(column.lower()) if found else None


def read_lineage(project: Project, of: Collection[str] | None = None) -> Lineage:
    """The lineage of every model as of dbt's last build; empty before the first build.

    Args:
        of: only these models and their ancestors; None for all models.
    """
    compiled = compiled_sql(project)
    generated = dict(_generated(project))
    known = _raw_tables(project)
    models = {}
    for model in _with_those_above(read_models(project), of):
        if model.is_seed:
            models[model.name] = ModelLineage()
            continue
        columns = generated.get(model.name)
        if columns is not None:
            found = ModelLineage(_origins(columns))
        else:
            found, columns = _from_sql(model, compiled.get(model.name), known)
        models[model.name] = found
        known[model.schema.lower(), model.identifier.lower()] = columns
    return Lineage(models)


def _with_those_above(models: Sequence[Model], names: Collection[str] | None) -> Sequence[Model]:
    """These models and all their ancestors, in order."""
    if names is None:
        return models
    wanted = set(names)
    for model in reversed(models):
        if model.name in wanted:
            wanted.update(model.reads_models)
    return [model for model in models if model.name in wanted]


def _from_sql(
    model: Model, sql: str | None, known: Mapping[tuple[str, str], Columns | None]
) -> tuple[ModelLineage, Columns | None]:
    if sql is None:
        return ModelLineage(unknown="dbt hasn't compiled its SQL yet; run: lakefeed build"), None
    itself = (model.schema.lower(), model.identifier.lower())
    columns = columns_of_select(sql, {**known, itself: {}})
    if isinstance(columns, str):
        return ModelLineage(unknown=f"its SQL can't be parsed: {columns}"), None
    if model.is_snapshot:
        columns |= dict.fromkeys(_SNAPSHOT_COLUMNS, Column())
    if not any(columns.values()):
        return ModelLineage(unknown="none of its columns can be traced to a table"), columns
    equals = {name: found.equals for name, found in columns.items() if found and found.equals}
    return ModelLineage(_origins(columns), equals), columns


def _origins(columns: Columns) -> dict[str, frozenset[Origin]]:
    return {name: found.origins for name, found in columns.items() if found is not None}


def _raw_tables(project: Project) -> dict[tuple[str, str], Columns | None]:
    """The columns of raw tables, for models that read them without the macros."""
    tables = {table.lake_name: table for table in project.tables if table.catalogue}
    return {
        (schema.lower(), name.lower()): dict(_raw_columns(tables[lake_name]))
        for (schema, name), lake_name in source_relations(project).items()
        if lake_name in tables
    }


def _generated(project: Project) -> Iterator[tuple[str, Columns]]:
    """The columns of the generated models over raw, as their macros define them."""
    for table in project.tables:
        if table.catalogue and is_generated(project, table):
            marks = ("_deleted_at",) if table.settings.deletes == "mark" else ()
            added = dict.fromkeys((*marks, *_STAGING_COLUMNS), Column())
            yield staging_model_name(table), {**dict(_staged_columns(table)), **added}
        if table.catalogue and has_history(project, table):
            columns = table.cursor.columns if table.cursor else ()
            cursor = (Origin(table.shown, column, False) for column in columns)
            added = dict.fromkeys(_HISTORY_COLUMNS, Column())
            added |= dict.fromkeys(_FROM_CURSOR, Column(frozenset(cursor)))
            yield history_model_name(table), {**dict(_staged_columns(table)), **added}


def _raw_columns(table: Table) -> Iterator[tuple[str, Column]]:
    for column in whole_columns(table):
        yield column.loaded.name.lower(), _column(table, column)


def _staged_columns(table: Table) -> Iterator[tuple[str, Column]]:
    for column in staged_columns(table):
        yield column.name.lower(), _column(table, column)


def _column(table: Table, column: StagedColumn) -> Column:
    unchanged = column.flattened is None
    return Column(frozenset({Origin(table.shown, column.loaded.name, unchanged)}))
