"""What surrounds a run of dbt in this process: its folder, its warehouse file, its environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import Any

from lakefeed.transformation.targets.duckdb_file import NEW_FILES
from lakefeed.transformation.targets.ducklake import (
    LAKE,
    Lake,
    attach_for_dbt,
    prepare,
    settings,
)

_checks: list[Callable[[], None]] = []


@contextmanager
def checking(check: Callable[[], None] | None) -> Iterator[None]:
    """Has `make_checks` make this check as well."""
    checks = [check] if check else []
    _checks.extend(checks)
    try:
        yield
    finally:
        for made in checks:
            _checks.remove(made)


def make_checks() -> None:
    """What precedes each model and test; an error fails it."""
    for check in _checks:
        check()


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Like `contextlib.chdir`, but also works if the current folder has been removed."""
    try:
        before = Path.cwd()
    except FileNotFoundError:
        before = folder
    os.chdir(folder)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            os.chdir(before)


@contextmanager
def opening(warehouse: Path) -> Iterator[None]:
    """Makes dbt-duckdb open this file, whatever path the profile has, and create it as we do.

    Another path in the profile, which may be hand-written, would invalidate dbt's parse cache
    (https://docs.getdbt.com/reference/parsing#known-limitations).
    """

    def open_warehouse(initialize: Callable[[Any], Any], credentials: Any) -> Any:
        elsewhere = copy(credentials)
        elsewhere.path = str(warehouse)
        elsewhere.config_options = NEW_FILES | (credentials.config_options or {})
        elsewhere.attach = [a for a in credentials.attach or () if a.alias != LAKE]
        return initialize(elsewhere)

    with _initializing(open_warehouse):
        yield


@contextmanager
def opening_lake(lake: Lake) -> Iterator[None]:
    """Makes dbt-duckdb attach this lake, as the project declares it, by installed extensions."""

    def open_lake(initialize: Callable[[Any], Any], credentials: Any) -> Any:
        without = copy(credentials)
        without.config_options = settings() | (credentials.config_options or {})
        without.attach = [a for a in credentials.attach or () if a.alias != LAKE]
        session = initialize(without)
        prepare(session, lake)
        attach_for_dbt(session, lake)
        return session

    with _initializing(open_lake):
        yield


@contextmanager
def _initializing(open_database: Callable[[Callable[[Any], Any], Any], Any]) -> Iterator[None]:
    """Makes dbt-duckdb open its database by this function; it gets dbt's own way of doing so."""
    from dbt.adapters.duckdb.environments import Environment

    original = Environment.__dict__["initialize_db"]

    def initialize(environment: Any, credentials: Any, plugins: Any = None) -> Any:
        return open_database(
            lambda changed: original.__func__(environment, changed, plugins), credentials
        )

    Environment.initialize_db = classmethod(initialize)
    try:
        yield
    finally:
        Environment.initialize_db = original


@contextmanager
def prepared_environment(command: str, variables: Mapping[str, str]) -> Iterator[None]:
    """Sets variables, turns off dbt's telemetry and hides this process's command line until exit.

    dbt writes `sys.argv` into its logs and artifacts
    (https://github.com/dbt-labs/dbt-core/issues/10313). Ours may contain personal data, such as the
    key of a row to erase.
    """
    set_now = {**variables, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    before = {name: os.environ.get(name) for name in set_now}
    os.environ.update(set_now)
    ours, sys.argv = sys.argv, ["dbt", command]
    try:
        yield
    finally:
        sys.argv = ours
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
