"""`lakefeed run`, or another command, that dies, as by `kill -9`, at one call of one function."""

from __future__ import annotations

from pathlib import Path

from lakefeed.conformance.deaths import DIED, Death, arm
from tests.conftest import Lake
from tests.forks import forked, lakefeed


def die(lake: Lake, target: str, moment: str, *command: str, of: str = "") -> str:
    """The command, or a run, until the deadly call; returns what was printed until then.

    Args:
        target: `module:Qualified.name` of the function.
        moment: `before` or `after` the call, and which one it is, from 1: `after 3`.
        of: a text in an argument of the calls that count; empty for all of them.
    """
    ended = forked(_until_the_call, target, moment, of, *command, folder=lake.root)
    output = ended.stdout + ended.stderr
    assert ended.returncode == DIED, f"{target} was never called\n{output}"
    return output


def _until_the_call(target: str, moment: str, of: str, *command: str) -> int:
    from lakefeed.declaration.project import open_project
    from lakefeed.loading.dlt_settings.environment import prepare_dlt
    from lakefeed.orchestration.ingest.load_request import LoadRequest
    from lakefeed.orchestration.run import run

    project = open_project(Path())
    prepare_dlt(project.root)
    when, _, call = moment.partition(" ")
    arm(Death(target, "before" if when == "before" else "after", of, call=int(call or 1)))
    if command:
        lakefeed(*command)
    return run(project, LoadRequest()).exit_code
