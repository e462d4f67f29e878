"""`LAKEFEED_ENV`: which file has the variables, and where runs keep what they need."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefeed.declaration.project import Project, open_project
from lakefeed.errors import DeclarationError
from lakefeed.source.connections.connection import connection_of

DECLARED = (
    "version: 1\nsources:\n  shop:\n    connection: ${SHOP_URL}\n    tables:\n"
    "      a: {cursor: at, where: '${ONLY:-all}'}\n"
)


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project in the environment `prod`, which also has a `.env`."""
    (tmp_path / "sources.yaml").write_text(DECLARED)
    (tmp_path / ".env").write_text("SHOP_URL=postgresql://u@dev/db\nONLY=dev\n")
    (tmp_path / ".env.prod").write_text("SHOP_URL=postgresql://u@prod/db\n")
    monkeypatch.setenv("LAKEFEED_ENV", "prod")
    return open_project(tmp_path)


def test_the_environments_file_is_read_instead_of_the_other(opened: Project) -> None:
    assert connection_of(opened, "shop").dsn == "postgresql://u@prod/db"
    assert opened.tables[0].settings.where == "all"


def test_what_runs_keep_is_apart_from_that_of_other_environments(
    opened: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_prod = opened.data
    monkeypatch.delenv("LAKEFEED_ENV")

    assert in_prod == opened.root / "data/environments/prod"
    assert opened.data == opened.root / "data"


def test_an_environment_without_a_file_is_refused_by_the_files_name(
    opened: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEFEED_ENV", "production")

    with pytest.raises(DeclarationError) as refused:
        open_project(opened.root)

    assert str(refused.value) == (
        f"the environment `production` has no file .env.production in {opened.root}\n"
        "  create it (it may be empty if all variables are exported), or use one of those that are "
        "there: .env.prod"
    )


def test_a_name_that_leads_elsewhere_is_refused(
    opened: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEFEED_ENV", "../prod")

    with pytest.raises(DeclarationError, match=r"`\.\./prod`: invalid name"):
        open_project(opened.root)


def test_an_unset_variable_is_told_with_the_environments_file(
    opened: Project,
) -> None:
    (opened.root / "sources.yaml").write_text(DECLARED.replace(":-all", ""))

    with pytest.raises(DeclarationError, match=r"ONLY isn't set; add it to \.env\.prod"):
        open_project(opened.root)
