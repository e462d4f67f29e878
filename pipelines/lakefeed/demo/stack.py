"""`make airflow`: runs the services of `docker compose up` as local processes.

    python -m lakefeed.demo.stack [--port PORT]

Commands and environments come from the compose files; the databases are embedded servers. It
continues with what `make demo` has loaded: the shop's database is in `data/`, beside its lake, and
Airflow's own in `.airflow/`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console

from lakefeed.declaration.project import Project, open_project
from lakefeed.demo.compose import COMPLETED, HEALTHY, Service, read_services
from lakefeed.demo.lake import demo_lake
from lakefeed.demo.local_stack import LocalStack, is_free
from lakefeed.demo.processes import Processes, processes
from lakefeed.demo.run import how_to_activate, is_activated
from lakefeed.demo.server import create_database, embedded_postgres
from lakefeed.demo.shop import CONNECTION_VARIABLE, DATABASE
from lakefeed.errors import LakefeedError, Refused
from lakefeed.render.report import console
from lakefeed.transformation.warehouse.declared import warehouse_of

_HOME = ".airflow"
_PASSWORDS = "simple_auth_manager_passwords.json.generated"
# A cold start of Airflow takes half a minute on two cores.
_PATIENCE_SECONDS = 300
_PROBE_SECONDS = 60
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def bring_up(
    services: Sequence[Service],
    stack: LocalStack,
    started: Processes,
    on_start: Callable[[str], None],
) -> None:
    """Starts the services like compose: each once the conditions of its dependencies are met.

    Returns when all services are healthy.

    Args:
        on_start: called with the name of each service that is started.

    Raises:
        LakefeedError: a service exited, or isn't healthy after `_PATIENCE_SECONDS`.
    """
    local = {service.name: service for service in services if service.name not in stack.databases}
    one_off = {
        name
        for service in services
        for name, condition in service.needs.items()
        if condition == COMPLETED
    }
    for service in local.values():
        for name, condition in service.needs.items():
            if condition == HEALTHY and name in local:
                _wait_until_healthy(local[name], stack, started)
        on_start(service.name)
        started.start(service.name, stack.command(service), stack.environment(service))
        if service.name in one_off:
            started.finish(service.name)
    for service in local.values():
        if service.name not in one_off:
            _wait_until_healthy(service, stack, started)


def _wait_until_healthy(service: Service, stack: LocalStack, started: Processes) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _is_healthy(service, stack):
        started.check()
        if time.monotonic() > deadline:
            raise LakefeedError(
                f"{service.name} isn't healthy after {_PATIENCE_SECONDS} s",
                do=f"see its log: {started.log_of(service.name)}",
            )
        time.sleep(1)


def _is_healthy(service: Service, stack: LocalStack) -> bool:
    try:
        probe = subprocess.run(
            stack.probe(service),
            cwd=stack.project, env=stack.environment(service), capture_output=True,
            check=False, timeout=_PROBE_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return probe.returncode == 0


def run_stack(root: Path, port: int | None) -> None:
    """Runs the stack of the project in `root` until this process is interrupted.

    Side effects: creates `.airflow/` and, if there is none, the demo's lake in `data/`.

    Raises:
        Refused: the port is in use, or `data/` contains a lake that isn't the demo's.
        LakefeedError: a service exited.
    """
    out, began = console(), time.monotonic()
    project = open_project(root)
    services = read_services(project.root)
    port = port or _published_port(services)
    if not is_free(port):
        raise Refused(
            f"port {port} is already in use",
            do="stop what uses it, or choose another port: make airflow PORT=8082",
        )
    with demo_lake(project), _databases(project) as databases:
        stack = LocalStack(project.root, project.root / _HOME, port, databases)
        with processes(project.root, stack.home / "logs") as started:
            out.print(f"Starting Airflow; the services' logs are in {_HOME}/logs/")
            bring_up(services, stack, started, lambda name: out.print(f"  {name}"))
            _welcome(out, project, stack)
            out.print(f"ready after {time.monotonic() - began:.0f} s; press Ctrl-C to stop")
            while True:
                started.check()
                time.sleep(1)


def _published_port(services: Sequence[Service]) -> int:
    """The local port at which compose publishes Airflow's web page."""
    (published,) = (port for service in services for port in service.ports)
    return int(published.split(":")[1])


@contextmanager
def _databases(project: Project) -> Iterator[dict[str, str]]:
    """The URLs of Airflow's own database and of the shop's, by service."""
    with ExitStack() as servers:
        own = servers.enter_context(embedded_postgres(project.root / _HOME / "postgres"))
        shop = servers.enter_context(embedded_postgres(project.data / "postgres"))
        yield {
            "postgres": create_database(own, "airflow"),
            "shop-database": create_database(shop, DATABASE),
        }


def _welcome(out: Console, project: Project, stack: LocalStack) -> None:
    airflow, warehouse = project.declaration.airflow, warehouse_of(project).shown
    passwords = json.loads((stack.home / _PASSWORDS).read_text(encoding="utf-8"))
    query = "select status, count(*) from marts.fct_order group by all"
    lines = {
        "web page": f"http://localhost:{stack.port}",
        "log in": f"user admin, password {passwords['admin']}",
        "DAG": f"{airflow.dag_id}, schedule {airflow.schedule or 'none'}; trigger it on the page",
        "activate": None if is_activated() else how_to_activate(),
        "try": "lakefeed status",
        "": "dlt pipeline shop__orders info",
        " ": f"python -c \"import duckdb; duckdb.connect('{warehouse}', read_only=True)"
        f".sql('{query}').show()\"",
        "the shop": f"export {CONNECTION_VARIABLE}='{stack.databases['shop-database']}'",
    }
    out.print()
    for name, line in lines.items():
        if line is not None:
            out.print(f"{name:<11} {line}", soft_wrap=True, markup=False)
    out.print()


def _stop_once(_number: int, _frame: object) -> None:
    """Stops like Ctrl-C, and ignores further signals so that they don't interrupt the stopping."""
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Default: the compose file's port.")
def main(port: int | None) -> None:
    """Run Airflow and the demo's shop on this machine until Ctrl-C."""
    for number in _STOP_SIGNALS:
        signal.signal(number, _stop_once)
    try:
        run_stack(Path(), port)
    except KeyboardInterrupt:
        click.echo("\nstopped; loaded data is kept, and `make airflow` continues with it")
    except LakefeedError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
