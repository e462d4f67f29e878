"""Processes that cost no start: forked from one that has done before what all begin with."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.warm"])


def forked(
    program: Callable[..., object],
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """What a process does that runs this program in a folder; its exit code is what it returns.

    Args:
        environment: variables beside those of this process.
    """
    variables = {**os.environ, **(environment or {})}
    with TemporaryDirectory() as name:
        out, err = Path(name, "out"), Path(name, "err")
        process = _FORKS.Process(
            target=_run, args=(program, arguments, folder, variables, (out, err))
        )
        process.start()
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(
            arguments, process.exitcode, out.read_text(), err.read_text()
        )


def lakefeed(*arguments: str) -> None:
    """The command line."""
    from lakefeed.cli.main import main

    main(arguments)


def plain_dbt(*arguments: str) -> None:
    """dbt's own command line."""
    from dbt.cli.main import cli

    cli(arguments)


def _run(
    program: Callable[..., object],
    arguments: tuple[str, ...],
    folder: Path,
    variables: dict[str, str],
    streams: tuple[Path, Path],
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    for number, path in enumerate(streams, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.argv = ["lakefeed", *arguments]
    sys.exit(program(*arguments))
