"""The names of the models that Lakefeed generates over a table's raw rows."""

from __future__ import annotations

# By the schema of the warehouse that the models are in.
PREFIXES = {"staging": "stg_", "history": "hst_"}


def staging_model(lake_name: str) -> str:
    """The staging model of the table with this name in the lake: `stg_shop__orders`."""
    return PREFIXES["staging"] + lake_name


def history_model(lake_name: str) -> str:
    """The model with the history of the table with this name in the lake: `hst_shop__orders`."""
    return PREFIXES["history"] + lake_name
