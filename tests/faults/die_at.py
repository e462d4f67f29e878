"""`lakefeed run`, or another command, that dies, as by `kill -9`, at one call of one function."""

from __future__ import annotations

import functools
import importlib
import os
from pathlib import Path
from typing import Any

from tests.conftest import Lake
from tests.forks import forked, lakefeed

_DIED = 137


def die(lake: Lake, target: str, moment: str, *command: str) -> str:
    """The command, or a run, until the deadly call; returns what was printed until then.

    Args:
        target: `module:Qualified.name` of the function.
        moment: `before` or `after` the call, and which one it is, from 1: `after 3`.
    """
    ended = forked(_until_the_call, target, moment, *command, folder=lake.root)
    output = ended.stdout + ended.stderr
    assert ended.returncode == _DIED, f"{target} was never called\n{output}"
    return output


def _until_the_call(target: str, moment: str, *command: str) -> int:
    from lakefeed.declaration.project import open_project
    from lakefeed.loading.dlt_settings.environment import prepare_dlt
    from lakefeed.orchestration.ingest.load_request import LoadRequest
    from lakefeed.orchestration.run import run

    project = open_project(Path())
    prepare_dlt(project.root)
    when, _, call = moment.partition(" ")
    _arm(target, when, int(call or 1))
    if command:
        lakefeed(*command)
    return run(project, LoadRequest()).exit_code


def _arm(target: str, moment: str, call: int) -> None:
    """Wraps the function so that its n-th call ends the process, without any clean-up."""
    module_name, _, path = target.partition(":")
    owner: Any = importlib.import_module(module_name)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original = getattr(owner, name)
    calls = 0

    @functools.wraps(original)
    def deadly(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        # Tables are loaded in parallel: another call may come in before this one ends.
        number = calls
        if number == call and moment == "before":
            os._exit(_DIED)
        result = original(*arguments, **options)
        if number == call:
            os._exit(_DIED)
        return result

    setattr(owner, name, deadly)
