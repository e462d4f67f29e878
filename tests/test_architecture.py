"""The layout holds: who may import whom, what is imported when, and how long things grow."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "pipelines/lakefeed"
TEMPLATE = PACKAGE / "orchestration/project/template"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if TEMPLATE not in path.parents)
TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))
FOLDERS = sorted({path.parent for path in MODULES if path.parent != PACKAGE})
OURS = [folder for folder in FOLDERS if (folder / "__init__.py").exists()]
MODELS = sorted((REPOSITORY / "dbt/models").rglob("*.sql"))
SQL = sorted(
    path
    for folder in ("dbt/models", "dbt/macros", "dbt/tests", "pipelines")
    for path in (REPOSITORY / folder).rglob("*.sql")
)

# Each layer may import those before it, and itself.
LAYERS = (
    *("declaration", "source", "loading", "transformation", "orchestration"),
    *("render", "site", "demo", "lab", "conformance", "dag", "cli", "api"),
)
ALONE = {path.stem for path in PACKAGE.glob("*.py")} - {"api"}

MOST_POSITIONAL = 4
LONGEST_MODULE = 300
LONGEST_FUNCTION = 60
MOST_MODULES = 14


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def module_of(path: Path) -> str:
    """`loading.raw.scan` for the file of that module; `loading.raw` for its `__init__`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


PATHS = {module_of(path): path for path in MODULES}


def folder_of(module: str) -> str:
    return module if PATHS[module].stem == "__init__" else module.rpartition(".")[0]


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def imported(path: Path) -> frozenset[str]:
    """Every module that the file imports anywhere, within functions too."""
    return frozenset(_imported(nodes_of(path)))


def _imported(nodes: tuple[ast.AST, ...]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_of_ours(path: Path) -> set[str]:
    """Modules of Lakefeed that the file imports."""
    names = {name.removeprefix("lakefeed.") for name in imported(path)}
    return {name for name in names if name in PATHS and name}


def importers_of(package: str) -> set[str]:
    return {
        name_of(path)
        for path in MODULES
        if any(name == package or name.startswith(f"{package}.") for name in imported(path))
    }


def listed(folder: Path, word: str) -> set[str]:
    """The names in backticks that follow `Imports:` or `Public:` in a subpackage's docstring."""
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    found = re.search(rf"^{word}: .*(?:\n    .*)*", text, re.MULTILINE)
    return set(re.findall(r"`([\w.]+)`", found[0])) if found else set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_layer_imports_only_those_below_it(path: Path) -> None:
    layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    allowed = ALONE | set(LAYERS[: LAYERS.index(layer) + 1] if layer in LAYERS else ())
    # What `import lakefeed` offers.
    allowed |= {"api"} if layer == "__init__" else set()

    assert {n for n in imported_of_ours(path) if n.split(".")[0] not in allowed} == set()


def test_subpackages_of_a_layer_import_one_another_in_one_direction() -> None:
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        folder = folder_of(module_of(path))
        others = {folder_of(name) for name in imported_of_ours(path)} - {folder}
        # A layer's own modules stand above its subpackages and below what those pass on.
        graph.setdefault(folder, set()).update(o for o in others if "." in o and "." in folder)

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these import one another in a circle: {error.args[1]}")


def test_modules_import_one_another_in_one_direction() -> None:
    graph = {
        module_of(path): imported_of_ours(path) - {module_of(path)}
        for path in MODULES
        if path.stem != "__init__"
    }

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these import one another in a circle: {error.args[1]}")


@pytest.mark.parametrize("folder", OURS, ids=name_of)
def test_a_subpackage_says_what_it_imports(folder: Path) -> None:
    ours = {path for path in MODULES if path.parent == folder}
    used = {folder_of(name) for path in ours for name in imported_of_ours(path)}

    assert listed(folder, "Imports") == used - {"", module_of(folder / "__init__.py")}


@pytest.mark.parametrize("folder", OURS, ids=name_of)
def test_nobody_reaches_past_the_public_modules_of_a_subpackage(folder: Path) -> None:
    ours = {module_of(path) for path in MODULES if path.parent == folder}
    used = {
        name
        for path in MODULES
        if path.parent != folder
        for name in imported_of_ours(path) & ours
        if folder_of(name) != name
    }

    assert {name.rpartition(".")[2] for name in used} == listed(folder, "Public")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nobody_imports_what_is_private_to_a_module(path: Path) -> None:
    names = {name.rpartition(".")[2] for name in imported(path) if name.startswith("lakefeed.")}

    assert {name for name in names if name.startswith("_") and name != "__version__"} == set()


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_folder_holds_few_modules(folder: Path) -> None:
    assert len([path for path in folder.glob("*.py") if path.stem != "__init__"]) <= MOST_MODULES


def test_only_loading_knows_dlt() -> None:
    loading = "pipelines/lakefeed/loading/"
    assert all(name.startswith(loading) for name in importers_of("dlt"))


def test_only_one_folder_each_knows_dbt_and_airflow() -> None:
    dbt_adapter = "pipelines/lakefeed/transformation/dbt_adapter/"
    assert all(n.startswith(dbt_adapter) for n in importers_of("dbt"))
    assert all(n.startswith("pipelines/lakefeed/dag/") for n in importers_of("airflow"))


def test_only_its_implementation_knows_what_the_warehouse_consists_of() -> None:
    """All others ask `warehouse_of(project)`, whatever the warehouse consists of."""
    implementations = (
        *("transformation/warehouse/duckdb_file/", "transformation/warehouse/ducklake/"),
        *("transformation/warehouse/spark/", "transformation/warehouse/clones/"),
        "transformation/targets/",
        # The declaration says what each is, and the test of an engine how it is to be set up.
        *("declaration/", "conformance/"),
    )
    declared = PACKAGE / "transformation/warehouse/declared.py"
    others = [p for p in MODULES if not str(p.relative_to(PACKAGE)).startswith(implementations)]
    asked = re.compile(r"project\.warehouse$|\bwarehouse\.(?:type|path|keep|data_url|catalog)$")
    read = {
        name_of(path): ast.unparse(node)
        for path in others
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and asked.search(ast.unparse(node))
    }
    folder = "lakefeed.transformation.warehouse.duckdb_file"
    importers = importers_of(folder) & set(map(name_of, others))

    assert read == {name_of(declared): "project.declaration.warehouse.type"}
    assert importers == {name_of(declared)}


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.is_relative_to(PACKAGE / "orchestration")], ids=name_of
)
def test_orchestration_knows_neither_sql_nor_cursors(path: Path) -> None:
    unknown = {"duckdb", "psycopg2", "sqlalchemy", "sqlglot", "lakefeed.loading.plan.cursors"}
    # Passing sessions on needs their type.
    known = {
        *("duckdb", "duckdb.DuckDBPyConnection"),
        *("psycopg2.extensions", "psycopg2.extensions.connection"),
    }
    names = {n for n in imported(path) for u in unknown if n == u or n.startswith(f"{u}.")}
    called = {
        node.func.attr
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }

    assert names - known == set()
    assert called & {"execute", "executemany", "sql"} == set()


def test_reading_a_declaration_needs_nothing_but_yaml_and_pydantic() -> None:
    told = subprocess.run(
        [
            *(sys.executable, "-X", "importtime", "-c"),
            "import sys, json, pathlib\n"
            "from lakefeed.declaration.project import open_project\n"
            "open_project(pathlib.Path('.'))\n"
            "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))",
        ],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(json.loads(told.stdout)) - set(sys.stdlib_module_names)
    heavy = {"dlt", "dbt", "airflow", "duckdb", "sqlalchemy", "psycopg2", "pyarrow", "sqlglot"}

    assert loaded & heavy == set()


def test_importing_lakefeed_imports_nothing_but_the_standard_library() -> None:
    imported_by_it = subprocess.run(
        [
            *(sys.executable, "-S", "-c"),
            f"import sys; sys.path.append({str(PACKAGE.parent)!r}); import lakefeed\n"
            "print(*{name.split('.')[0] for name in sys.modules})",
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert set(imported_by_it.stdout.split()) <= {*sys.stdlib_module_names, "__main__", "lakefeed"}


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


def positional(call: ast.Call) -> int:
    """How many arguments of a call are positional; a literal tuple with a star hides several."""
    stars = (a.value for a in call.args if isinstance(a, ast.Starred))
    hidden = sum(len(star.elts) - 1 for star in stars if isinstance(star, ast.Tuple | ast.List))
    return len(call.args) + hidden


@cache
def our_dataclasses() -> set[str]:
    return {
        node.name
        for path in MODULES
        for node in nodes_of(path)
        if isinstance(node, ast.ClassDef)
        and any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
    }


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=name_of)
def test_a_dataclass_is_made_with_keywords_where_it_has_many_fields(path: Path) -> None:
    calls = (
        (node, ast.unparse(node.func).rpartition(".")[2])
        for node in nodes_of(path)
        if isinstance(node, ast.Call)
    )

    assert [
        f"{name_of(path)}:{call.lineno} {name}"
        for call, name in calls
        if name in our_dataclasses() | {"cls"} and positional(call) > MOST_POSITIONAL
    ] == []


@pytest.mark.parametrize("path", SQL, ids=name_of)
def test_sql_is_lower_case(path: Path) -> None:
    words = re.findall(r"\b(?:SELECT|FROM|WITH|JOIN|WHERE|GROUP|ORDER|AS)\b", path.read_text())

    assert words == []


@pytest.mark.parametrize("path", MODELS, ids=name_of)
def test_every_model_is_described_beside_it(path: Path) -> None:
    beside = "".join(file.read_text(encoding="utf-8") for file in path.parent.glob("*.yml"))

    assert f"name: {path.stem}\n" in beside
