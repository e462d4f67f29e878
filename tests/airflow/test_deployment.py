"""The compose file and the Dockerfiles, as far as they can be checked without an engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Lake

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SECRETS = (
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
)


def check(*command: str) -> str:
    ended = subprocess.run(
        [BIN / command[0], *command[1:]], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text()))


def test_the_compose_file_is_valid() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    check("check-jsonschema", *schema, str(REPOSITORY / "docker-compose.yml"))


def test_the_dockerfiles_have_no_lint(lake: Lake) -> None:
    check("hadolint", str(REPOSITORY / "Dockerfile"), str(lake.root / "Dockerfile"))


@pytest.mark.parametrize(
    "name",
    [
        *("docker-compose.yml", "airflow/dags/lakefeed.py", ".dlt/config.toml"),
        *("dbt/dbt_project.yml", "dbt/macros/generate_schema_name.sql"),
    ],
)
def test_a_new_project_gets_the_files_of_this_repository(lake: Lake, name: str) -> None:
    assert (lake.root / name).read_text() == (REPOSITORY / name).read_text()


def test_the_build_context_of_a_new_project_is_its_wheel_alone(lake: Lake) -> None:
    assert (lake.root / ".dockerignore").read_text() == "*\n!lakefeed-*.whl\n"


def test_there_are_five_services_and_one_is_reachable_from_this_machine_alone(
    compose: dict[str, Any],
) -> None:
    services = compose["services"]

    assert list(services) == [
        *("postgres", "airflow-init", "airflow-apiserver", "airflow-scheduler"),
        "airflow-dag-processor",
    ]
    published = {name: service.get("ports") for name, service in services.items()}
    assert {k: v for k, v in published.items() if v} == {
        "airflow-apiserver": ["127.0.0.1:8081:8080"]
    }
    unwatched = [name for name, service in services.items() if "healthcheck" not in service]
    assert unwatched == ["airflow-init"]


def test_every_secret_comes_from_outside_and_says_how_to_make_it(compose: dict[str, Any]) -> None:
    environment = compose["services"]["airflow-scheduler"]["environment"]

    for name in SECRETS:
        assert ":?put it into .env" in environment[name]
        assert "openssl rand" in environment[name]
    assert "POSTGRES_PASSWORD" in str(compose["services"]["postgres"])
    assert "${AIRFLOW_DATABASE_PASSWORD:?" in str(compose["services"]["postgres"]["environment"])


def test_all_airflow_services_share_one_environment(compose: dict[str, Any]) -> None:
    environments = [
        service["environment"]
        for name, service in compose["services"].items()
        if name.startswith("airflow-")
    ]

    assert len(environments) == 4
    assert all(environment == environments[0] for environment in environments)
    assert environments[0]["PROVIDERS__ENABLE_AIRFLOW_SECRETS"] == "false"


def test_images_are_pinned_and_the_container_is_not_root() -> None:
    for dockerfile in (
        REPOSITORY / "Dockerfile",
        REPOSITORY / "pipelines/orchestration/templates/project/Dockerfile",
    ):
        lines = dockerfile.read_text().splitlines()
        assert "FROM python:3.12.11-slim-bookworm" in lines
        assert [line for line in lines if line.startswith("USER")] == ["USER ${LAKEFEED_UID}"]
    assert ":latest" not in (REPOSITORY / "docker-compose.yml").read_text()
