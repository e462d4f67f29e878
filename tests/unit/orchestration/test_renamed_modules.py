"""Projects of 0.1 name modules of `pipelines`; what to write instead is told, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefeed.orchestration.checks.renamed_modules import renamed_modules


def told(tmp_path: Path) -> list[str]:
    return [str(one) for one in renamed_modules(tmp_path)]


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_dag_file_gets_a_new_import_and_a_new_name(tmp_path: Path) -> None:
    write(
        tmp_path, "airflow/dags/lakefeed.py", "import os\n\nfrom pipelines.dag import build_dag\n"
    )

    assert told(tmp_path) == [
        "airflow/dags/lakefeed.py:3: `pipelines.dag` was renamed to `lakefeed.dag` in "
        "Lakefeed 0.2\n  change the line to: from lakefeed.dag import build_dag",
        "airflow/dags/lakefeed.py: this file shadows the package `lakefeed` when it is run directly"
        "\n  rename it: mv airflow/dags/lakefeed.py airflow/dags/de_batch_pipeline.py",
    ]


@pytest.mark.parametrize(
    ("name", "line", "instead"),
    [
        (
            "docker-compose.yml",
            "    command: [python, -m, pipelines.orchestration.secrets, /secrets, airflow]",
            "command: [python, -m, lakefeed.orchestration.project.secrets, /secrets, airflow]",
        ),
        ("compose.override.yaml", "run: pipelines.demo.traffic", "run: lakefeed.demo.traffic"),
        ("Dockerfile", "RUN python -m pipelines.cli.main", "RUN python -m lakefeed.cli.main"),
        (
            ".github/workflows/load.yml",
            "  - run: python -m pipelines.cli.main run",
            "- run: python -m lakefeed.cli.main run",
        ),
        ("airflow/dags/team/own.py", "import pipelines.dag as d", "import lakefeed.dag as d"),
    ],
)
def test_the_line_to_write_instead_is_given(
    tmp_path: Path, name: str, line: str, instead: str
) -> None:
    write(tmp_path, name, f"# first\n{line}\n")

    (error,) = told(tmp_path)

    assert error.startswith(f"{name}:2: `pipelines.")
    assert error.endswith(f"\n  change the line to: {instead}")


@pytest.mark.parametrize(
    "line",
    [
        "from pipelines.loading import mine",
        "from my.pipelines.dag import build",
        "import pipelines",
        "import pipelines.dags",
        "from lakefeed.dag import build_dag",
        "cp pipelines/dag.py .",
    ],
)
def test_a_package_of_the_users_own_is_left_alone(tmp_path: Path, line: str) -> None:
    write(tmp_path, "airflow/dags/own.py", line)
    write(tmp_path, "Dockerfile", f"RUN {line}\n")

    assert told(tmp_path) == []
