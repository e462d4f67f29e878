"""Where views stand on Spark: beside a table of the same name, while a version shows that.

marts.fct                   the table, which is dropped with the last version that shows it
marts.fct__lakefeed_view    the view that the model `fct` is now
"""

from __future__ import annotations

_BESIDE = "__lakefeed_view"


def beside_table(model: str) -> str:
    """The name of a model's view while a table has the model's own."""
    return f"{model}{_BESIDE}"


def model_of(relation: str) -> str:
    """The name of the model that a table or view belongs to."""
    return relation.removesuffix(_BESIDE)
