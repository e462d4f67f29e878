"""The wheel, installed by itself for the oldest and the newest Python that is here: it works."""

from __future__ import annotations

import compileall
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from lakefeed import __version__
from tests.conftest import Database
from tests.wheel import REPOSITORY, build, pythons, uv

# Its build downloads a binary.
_UNREACHABLE = re.compile(r"error sending request|dns error|[Cc]onnect|timed? ?out")

pytestmark = pytest.mark.faults


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel and what it asks for, and a folder far from any clone."""

    environment: Path
    folder: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a program of the environment in the folder, as a user with nothing set would."""
        bin_ = self.environment / "bin"
        return subprocess.run(
            [bin_ / program, *arguments],
            cwd=self.folder,
            env={"PATH": f"{bin_}:/usr/bin:/bin", "HOME": str(self.folder.parent)},
            capture_output=True,
            text=True,
            check=False,
        )

    def lakefeed(self, *arguments: str) -> str:
        """What a command prints that must succeed."""
        ended = self.run("lakefeed", *arguments)
        assert ended.returncode == 0, ended
        return ended.stdout

    def python(self, code: str) -> str:
        """What a program prints that must succeed."""
        ended = self.run("python", "-c", code)
        assert ended.returncode == 0, ended
        return ended.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", REPOSITORY, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module", params=["oldest", "newest"])
def installed(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    """The wheel in an environment of its own, compiled as pip compiles what it installs."""
    found = list(pythons().items())
    if not found:
        pytest.skip("no supported Python is on the path, nor in pyenv")
    if request.param == "newest" and len(found) == 1:
        pytest.skip(f"the only supported Python here is {found[0][0]}")
    _, python = found[0 if request.param == "oldest" else -1]
    made = Installed(tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("empty"))
    assert uv("venv", "--clear", "--python", python, made.environment).returncode == 0
    ended = uv("pip", "install", "--python", made.environment, wheel, folder=made.folder)
    if ended.returncode and _UNREACHABLE.search(ended.stderr):
        pytest.skip(f"no package registry can be reached: {ended.stderr.splitlines()[-1].strip()}")
    assert ended.returncode == 0, ended.stderr
    compileall.compile_dir(made.python("import lakefeed; print(lakefeed.__path__[0])"), quiet=2)
    return made


@pytest.fixture(scope="module")
def project(installed: Installed, source: Database) -> Installed:
    """What `init` makes of a database in the empty folder, loaded and built once."""
    source.execute(
        "drop table if exists orders",
        "create table orders (id int primary key, updated_at timestamptz not null default now())",
        "insert into orders select generate_series(1, 3)",
    )
    installed.lakefeed("init", "--connection", source.url, "--source", "shop")
    installed.lakefeed("run")
    return installed


def test_it_is_the_version_of_this_repository(installed: Installed) -> None:
    assert installed.lakefeed("--version") == f"lakefeed, version {__version__}\n"


def test_it_comes_without_airflow(installed: Installed) -> None:
    there = "from importlib.util import find_spec; print(find_spec('airflow'))"

    assert installed.python(there) == "None"


def test_it_comes_with_its_types(installed: Installed) -> None:
    there = (
        "from importlib.resources import files; print((files('lakefeed') / 'py.typed').is_file())"
    )

    assert installed.python(there) == "True"


def test_init_and_run_work_in_an_empty_folder(project: Installed) -> None:
    (orders,) = json.loads(project.lakefeed("status", "--json"))

    assert (orders["name"], orders["raw_rows"], orders["staged_rows"]) == ("shop.orders", 3, 3)
    assert not list(project.folder.rglob("*.pyc"))


def test_the_project_passes_its_own_check(project: Installed) -> None:
    project.lakefeed("check", "--connect")


def test_a_second_run_finds_nothing_new(project: Installed) -> None:
    assert "nothing new in 1 table" in project.lakefeed("run")


@pytest.mark.parametrize("command", ["audit", "docs", "rebuild", "prune"])
def test_commands_find_all_that_they_need(project: Installed, command: str) -> None:
    project.lakefeed(command)


@pytest.mark.parametrize(("command", "extra"), [("demo", "demo"), ("lab", "lab")])
def test_a_command_names_the_extra_that_it_lacks(
    project: Installed, command: str, extra: str
) -> None:
    ended = project.run("lakefeed", command)

    assert ended.returncode == 2
    assert f"pip install 'lakefeed[{extra}]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_dag_file_of_the_project_names_the_extra_that_it_lacks(project: Installed) -> None:
    ended = project.run("python", "airflow/dags/de_batch_pipeline.py")

    assert ended.returncode == 1
    assert ended.stderr.endswith("  install it: pip install 'lakefeed[airflow]'\n")


def test_a_project_can_be_run_from_python(project: Installed) -> None:
    code = "import lakefeed; print(lakefeed.open().run().exit_code)"

    assert project.python(code) == "0"
