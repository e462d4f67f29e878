"""What macros call of dbt's adapters exists in each of ours."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PIPELINES = Path(__file__).resolve().parents[3] / "pipelines"
MACROS = PIPELINES / "lakefeed/transformation/dbt_package/macros"
ADAPTERS = sorted((PIPELINES / "dbt/adapters").glob("lakefeed_*/impl.py"))
# dbt's own (https://docs.getdbt.com/reference/dbt-jinja-functions/adapter).
OF_DBT = {"dispatch", "get_relation"}


def called(folder: Path) -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.sql")]
    return {name for text in texts for name in re.findall(r"\badapter\.(\w+)\(", text)} - OF_DBT


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda path: path.parent.name)
def test_an_adapter_has_what_macros_of_single_statements_call(adapter: Path) -> None:
    tree = ast.parse(adapter.read_text(encoding="utf-8"))

    has = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}

    assert len(ADAPTERS) == 3
    assert called(MACROS / "statements") - has == set()
