"""`make airflow`: what `docker compose up` starts, as processes of this machine.

    python -m lakefeed.demo.stack [--port PORT]

The compose files are read for what the services run, and with which variables; the databases are
embedded servers. What `make demo` has loaded is gone on with: the shop's database lies beside its
lake in `data/`, and Airflow's own in `.airflow/`.
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
from lakefeed.demo.local_stack import Here, is_free
from lakefeed.demo.processes import Processes, processes
from lakefeed.demo.run import how_to_activate, is_activated
from lakefeed.demo.server import create_database, embedded_postgres
from lakefeed.demo.shop import CONNECTION_VARIABLE, DATABASE
from lakefeed.errors import LakefeedError, Refused
from lakefeed.render.report import console

_HOME = ".airflow"
_PASSWORDS = "simple_auth_manager_passwords.json.generated"
# A cold start of Airflow takes half a minute on two cores.
_PATIENCE_SECONDS = 300
_PROBE_SECONDS = 60
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def bring_up(
    services: Sequence[Service], here: Here, started: Processes, tell: Callable[[str], None]
) -> None:
    """Starts the services as compose does: each once those that it needs are as it needs them.

    Returns when all are well by their own probes.

    Args:
        tell: hears the name of each service that is started.

    Raises:
        LakefeedError: one ended, or isn't well after minutes.
    """
    ours = {service.name: service for service in services if service.name not in here.databases}
    once = {name for one in services for name, how in one.needs.items() if how == COMPLETED}
    for service in ours.values():
        for name, how in service.needs.items():
            if how == HEALTHY and name in ours:
                _until_well(ours[name], here, started)
        tell(service.name)
        started.start(service.name, here.command(service), here.environment(service))
        if service.name in once:
            started.finish(service.name)
    for service in ours.values():
        if service.name not in once:
            _until_well(service, here, started)


def _until_well(service: Service, here: Here, started: Processes) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _is_well(service, here):
        started.check()
        if time.monotonic() > deadline:
            raise LakefeedError(
                f"{service.name} isn't well after {_PATIENCE_SECONDS} s",
                do=f"its log may say why: {started.log_of(service.name)}",
            )
        time.sleep(1)


def _is_well(service: Service, here: Here) -> bool:
    try:
        asked = subprocess.run(
            here.probe(service),
            cwd=here.project, env=here.environment(service), capture_output=True,
            check=False, timeout=_PROBE_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


def run_stack(root: Path, port: int | None) -> None:
    """Runs the stack of the project in `root` until this process is told to stop.

    Side effects: makes `.airflow/` and, where there is none, the demo's lake in `data/`.

    Raises:
        Refused: the port is taken, or `data/` holds a lake that isn't the demo's.
        LakefeedError: a service ended by itself.
    """
    out, began = console(), time.monotonic()
    project = open_project(root)
    services = read_services(project.root)
    port = port or _published_port(services)
    if not is_free(port):
        raise Refused(
            f"something listens on port {port} already",
            do="stop it, or choose another port: make airflow PORT=8082",
        )
    with demo_lake(project), _databases(project) as databases:
        here = Here(project.root, project.root / _HOME, port, databases)
        with processes(project.root, here.home / "logs") as started:
            out.print(f"Starting Airflow; what each service says is in {_HOME}/logs/")
            bring_up(services, here, started, lambda name: out.print(f"  {name}"))
            _welcome(out, project, here)
            out.print(f"up after {time.monotonic() - began:.0f} s; Ctrl-C stops it all")
            while True:
                started.check()
                time.sleep(1)


def _published_port(services: Sequence[Service]) -> int:
    """The port of this machine at which compose publishes the page."""
    (published,) = (port for service in services for port in service.ports)
    return int(published.split(":")[1])


@contextmanager
def _databases(project: Project) -> Iterator[dict[str, str]]:
    """The URLs of Airflow's own database and of the shop's, by the services that have them."""
    with ExitStack() as servers:
        own = servers.enter_context(embedded_postgres(project.root / _HOME / "postgres"))
        shop = servers.enter_context(embedded_postgres(project.data / "postgres"))
        yield {
            "postgres": create_database(own, "airflow"),
            "shop-database": create_database(shop, DATABASE),
        }


def _welcome(out: Console, project: Project, here: Here) -> None:
    airflow, warehouse = project.declaration.airflow, project.declaration.warehouse.path
    passwords = json.loads((here.home / _PASSWORDS).read_text(encoding="utf-8"))
    query = "select status, count(*) from marts.fct_order group by all"
    lines = {
        "page": f"http://localhost:{here.port}",
        "log in": f"user admin, password {passwords['admin']}",
        "DAG": f"{airflow.dag_id}, schedule {airflow.schedule or 'none'}; trigger it at the page",
        "first": None if is_activated() else how_to_activate(),
        "look in": "lakefeed status",
        "": "dlt pipeline shop__orders info",
        " ": f"python -c \"import duckdb; duckdb.connect('{warehouse}', read_only=True)"
        f".sql('{query}').show()\"",
        "the shop": f"export {CONNECTION_VARIABLE}='{here.databases['shop-database']}'",
    }
    out.print()
    for name, line in lines.items():
        if line is not None:
            out.print(f"{name:<11} {line}", soft_wrap=True, markup=False)
    out.print()


def _stop_once(_number: int, _frame: object) -> None:
    """Ends what runs as Ctrl-C does; the stopping itself isn't stopped by a second one."""
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Default: that of the compose file.")
def main(port: int | None) -> None:
    """Start Airflow and the demo's shop on this machine, until Ctrl-C."""
    for number in _STOP_SIGNALS:
        signal.signal(number, _stop_once)
    try:
        run_stack(Path(), port)
    except KeyboardInterrupt:
        click.echo("\nall stopped; what was loaded stays, and `make airflow` goes on with it")
    except LakefeedError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
