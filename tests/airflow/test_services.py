"""The services of docker-compose.yml as plain processes, driven through REST as a user would."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from pipelines.demo.compose import read_services
from pipelines.demo.here import Here, free_port
from pipelines.demo.processes import processes
from pipelines.demo.stack import bring_up
from tests.airflow.api import DAG, Api, eventually
from tests.conftest import Database, Lake

TABLES = "a: {cursor: at}\nwhole: {mode: full_refresh}"


@pytest.fixture
def source(database: Database, lake: Lake) -> Database:
    """A source of two tables, and a project that loads them every night."""
    for table in ("a", "whole"):
        database.execute(
            f"create table {table} (id int primary key, at timestamptz)",
            f"insert into {table} values (1, '2026-01-01 12:00Z'), (2, '2026-01-05 12:00Z')",
        )
    declared = (lake.declare(TABLES).root / "sources.yaml").read_text()
    (lake.root / "sources.yaml").write_text(f"airflow: {{schedule: '0 0 * * *'}}\n{declared}")
    return database


@pytest.fixture
def api(
    source: Database, lake: Lake, server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """What a new project's compose file starts, on a metadata database of its own."""
    name, home = "meta_" + secrets.token_hex(6), tmp_path_factory.mktemp("home")
    Database(server_url).execute(f"create database {name}")
    metadata = server_url.replace("/postgres?", f"/{name}?")
    here = Here(lake.root, home, free_port(), {"postgres": metadata})
    with processes(lake.root, home / "logs") as started:
        bring_up(read_services(lake.root), here, started, tell=lambda _: None)
        api = Api(here.url, home)
        api.log_in()
        yield api


@pytest.mark.faults
def test_the_services_of_the_compose_file_schedule_trigger_and_backfill_the_dag(
    source: Database, lake: Lake, api: Api
) -> None:
    # The last interval that is over is due at once: a new DAG isn't paused.
    eventually(lambda: api.has_ended("scheduled"))
    assert set(api.task_states("scheduled").values()) == {"success"}

    source.execute("insert into a values (3, '2026-01-06 12:00Z')")
    api.call("POST", f"{DAG}/dagRuns", {"logical_date": None})
    eventually(lambda: api.has_ended("manual"))
    assert set(api.task_states("manual").values()) == {"success"}
    assert lake.query("select id from staging.stg_shop__a order by id") == [(1,), (2,), (3,)]

    # A change below the checkpoint: only a backfill sees it.
    source.execute("insert into a values (4, '2026-01-01 12:00Z')")
    day = "2026-01-01T00:00:00Z"
    body = {"dag_id": "de_batch_pipeline", "from_date": day, "to_date": day}
    api.call("POST", "/api/v2/backfills", body)
    eventually(lambda: api.has_ended("backfill"))
    states = api.task_states("backfill")
    assert states.pop("shop__whole") == "skipped"
    assert set(states.values()) == {"success"}
    assert lake.query("select count(*) from staging.stg_shop__a") == [(4,)]

    # Airflow says the password of its page once; nobody says any other.
    made = [path.read_text() for path in (api.home / "secrets").iterdir()]
    logged = "".join(path.read_text() for path in (api.home / "logs").glob("*.log"))
    assert [secret for secret in made if secret in logged] == []
    assert logged.count(api.password) == 1
