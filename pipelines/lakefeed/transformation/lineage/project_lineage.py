"""Which columns of the source each column of each model comes from, as the models' SQL says.

Read from what dbt compiled last, so it is the lineage of what was built. The generated models over
raw are macros, whose columns are those of their table by declaration.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.transformation.generate.generated_files import has_history, is_generated
from lakefeed.transformation.generate.history_models import history_model_name
from lakefeed.transformation.generate.staging_models import staged_columns, staging_model_name
from lakefeed.transformation.lineage.column_lineage import (
    Column,
    Columns,
    Origin,
    columns_of_select,
)
from lakefeed.transformation.manifest import Model, compiled_sql, read_models, source_relations

_OF_STAGING = ("_dlt_load_id", "_staged_batch")
_OF_HISTORY = ("is_current", "loaded_at", "_was_deleted", "_dlt_load_id", "_staged_batch")
# What the cursor says of a version.
_BY_CURSOR = ("valid_from", "valid_to", "_changed_at")
_OF_SNAPSHOTS = ("dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to")


@dataclass(frozen=True)
class ModelLineage:
    """Where the columns of one model come from. Names of its columns are in lower case.

    A column that comes from no table, such as a constant, has no origins; one that couldn't be
    followed is missing. `equals` has columns that a join made equal: after `join orders on
    orders.order_id = order_lines.order_id`, the lines' `order_id` is the orders' as well.
    `unknown` says why nothing is known, where that is so.
    """

    columns: Mapping[str, frozenset[Origin]] = field(default_factory=dict)
    equals: Mapping[str, frozenset[Origin]] = field(default_factory=dict)
    unknown: str = ""

    def holding(self, table: str, column: str) -> tuple[str, ...]:
        """The columns that hold this column of a table unchanged: those that it was passed on to,
        then those that a join made equal to it.
        """
        wanted = Origin(table, column, unchanged=True)
        places = (self.columns, self.equals)
        return tuple(name for place in places for name, found in place.items() if wanted in found)


@dataclass(frozen=True)
class Lineage:
    """The lineage of all models, by name, each after those that it reads."""

    models: Mapping[str, ModelLineage]

    def origins(self, model: str, column: str) -> frozenset[Origin] | None:
        """Where a column comes from; None where that isn't known."""
        found = self.models.get(model)
        return found.columns.get(column.lower()) if found else None


def read_lineage(project: Project, of: Collection[str] | None = None) -> Lineage:
    """The lineage of every model that dbt knows, as of its last build; empty before the first.

    Args:
        of: of these models and those that they read, directly or not; of all where None.
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
    """These models, and all that they read, in their order."""
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
        return ModelLineage(unknown="dbt has not compiled it as SQL yet: lakefeed build"), None
    itself = (model.schema.lower(), model.identifier.lower())
    columns = columns_of_select(sql, {**known, itself: {}})
    if isinstance(columns, str):
        return ModelLineage(unknown=f"its SQL can't be followed: {columns}"), None
    if model.is_snapshot:
        columns |= dict.fromkeys(_OF_SNAPSHOTS, Column())
    if not any(columns.values()):
        return ModelLineage(unknown="none of its columns can be followed to a table"), columns
    equals = {name: found.equals for name, found in columns.items() if found and found.equals}
    return ModelLineage(_origins(columns), equals), columns


def _origins(columns: Columns) -> dict[str, frozenset[Origin]]:
    return {name: found.origins for name, found in columns.items() if found is not None}


def _raw_tables(project: Project) -> dict[tuple[str, str], Columns | None]:
    """What a model finds that names a raw table itself, without our macros."""
    tables = {table.lake_name: table for table in project.tables if table.catalogue}
    return {
        (schema.lower(), name.lower()): dict(_passed_on(tables[lake_name]))
        for (schema, name), lake_name in source_relations(project).items()
        if lake_name in tables
    }


def _generated(project: Project) -> Iterator[tuple[str, Columns]]:
    """The models over raw that are ours, by what their macros promise."""
    for table in project.tables:
        if table.catalogue and is_generated(project, table):
            marks = ("_deleted_at",) if table.settings.deletes == "mark" else ()
            ours = dict.fromkeys((*marks, *_OF_STAGING), Column())
            yield staging_model_name(table), {**dict(_passed_on(table)), **ours}
        if table.catalogue and has_history(project, table):
            cursor = {Origin(table.shown, table.cursor.column, False)} if table.cursor else ()
            ours = dict.fromkeys(_OF_HISTORY, Column())
            ours |= dict.fromkeys(_BY_CURSOR, Column(frozenset(cursor)))
            yield history_model_name(table), {**dict(_passed_on(table)), **ours}


def _passed_on(table: Table) -> Iterator[tuple[str, Column]]:
    for column in staged_columns(table):
        yield column.name.lower(), Column(frozenset({Origin(table.shown, column.name, True)}))
