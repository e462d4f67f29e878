"""The layout holds: who may import whom, what is imported when, and how long things grow."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
MODULES = sorted(
    path for path in (REPOSITORY / "pipelines").rglob("*.py") if "templates" not in path.parts
)
MODELS = sorted((REPOSITORY / "dbt/models").rglob("*.sql"))
SQL = sorted(
    path
    for folder in ("dbt/models", "dbt/macros", "dbt/tests", "pipelines")
    for path in (REPOSITORY / folder).rglob("*.sql")
)

# Each layer may import those before it, and itself.
LAYERS = (
    *("declaration", "source", "loading", "transformation", "orchestration"),
    *("site", "cli", "dag", "demo", "lab"),
)
ALONE = {"disk", "documents", "duckdb_paths", "errors", "interruption", "textfile"}
# The command line starts these, which print as the command line does.
EXCEPT = {
    ("pipelines/cli/starting.py", "pipelines.demo.run"),
    ("pipelines/cli/starting.py", "pipelines.lab.run"),
}

LONGEST_MODULE = 300
LONGEST_FUNCTION = 60


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def imported(path: Path) -> Iterator[str]:
    """Every module that the file imports anywhere, within functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def importers_of(package: str) -> set[str]:
    return {
        name_of(path)
        for path in MODULES
        if any(name == package or name.startswith(f"{package}.") for name in imported(path))
    }


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_layer_imports_only_those_below_it(path: Path) -> None:
    layer = path.relative_to(REPOSITORY / "pipelines").parts[0].removesuffix(".py")
    allowed = ALONE | set(LAYERS[: LAYERS.index(layer) + 1] if layer in LAYERS else ())
    ours = {name for name in imported(path) if name.startswith("pipelines.")}
    wrong = {name for name in ours if name.split(".")[1] not in allowed}

    assert {(name_of(path), name) for name in wrong} - EXCEPT == set()


def test_only_loading_knows_dlt() -> None:
    assert all(name.startswith("pipelines/loading/") for name in importers_of("dlt"))


def test_only_one_module_knows_dbt_and_one_folder_airflow() -> None:
    assert importers_of("dbt") == {"pipelines/transformation/dbt.py"}
    assert all(name.startswith("pipelines/dag/") for name in importers_of("airflow"))


def test_reading_a_declaration_needs_nothing_but_yaml_and_pydantic() -> None:
    told = subprocess.run(
        [
            *(sys.executable, "-X", "importtime", "-c"),
            "import sys, json, pathlib\n"
            "from pipelines.declaration.project import open_project\n"
            "open_project(pathlib.Path('.'))\n"
            "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))",
        ],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(json.loads(told.stdout)) - set(sys.stdlib_module_names)
    heavy = {"dlt", "dbt", "airflow", "duckdb", "sqlalchemy", "psycopg2", "pyarrow", "sqlglot"}

    assert loaded & heavy == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    functions = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    long = [f.name for f in functions if (f.end_lineno or 0) - f.lineno >= LONGEST_FUNCTION]

    assert len(text.splitlines()) <= LONGEST_MODULE
    assert long == []


@pytest.mark.parametrize("path", SQL, ids=name_of)
def test_sql_is_lower_case(path: Path) -> None:
    words = re.findall(r"\b(?:SELECT|FROM|WITH|JOIN|WHERE|GROUP|ORDER|AS)\b", path.read_text())

    assert words == []


@pytest.mark.parametrize("path", MODELS, ids=name_of)
def test_every_model_is_described_beside_it(path: Path) -> None:
    beside = "".join(file.read_text(encoding="utf-8") for file in path.parent.glob("*.yml"))

    assert f"name: {path.stem}\n" in beside
