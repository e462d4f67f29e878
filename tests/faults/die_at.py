"""`lakefeed run`, or another command, that dies, as by `kill -9`, at one call of one function.

    python -m tests.faults.die_at module:Qualified.name before|after [n [command…]]

The project is the current folder. `n` counts the calls, from 1.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from pathlib import Path
from typing import Any

DIED = 137


def arm(target: str, moment: str, call: int) -> None:
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
        # Tables are loaded side by side: another call may come in before this one ends.
        number = calls
        if number == call and moment == "before":
            os._exit(DIED)
        result = original(*arguments, **options)
        if number == call:
            os._exit(DIED)
        return result

    setattr(owner, name, deadly)


def main(target: str, moment: str, call: str = "1", *command: str) -> int:
    from pipelines.declaration.project import open_project
    from pipelines.loading.environment import prepare_dlt
    from pipelines.orchestration.load import LoadRequest
    from pipelines.orchestration.run import run

    project = open_project(Path())
    prepare_dlt(project)
    arm(target, moment, int(call))
    if command:
        from pipelines.cli.main import main as lakefeed

        lakefeed(list(command))
    return run(project, LoadRequest()).exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
