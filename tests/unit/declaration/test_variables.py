"""`${NAME}` and `${NAME:-default}` in sources.yaml."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from lakefeed.declaration.environment.references import for_dbt, resolved
from lakefeed.declaration.explain import explain_table
from lakefeed.declaration.project import Project, open_project
from lakefeed.source.connections.connection import connection_of
from lakefeed.transformation.targets.profile import output_of

HEAD = "version: 1\nsources:\n  shop:\n    connection: ${SHOP_URL}\n    tables:\n"


def project(folder: Path, *lines: str, env: str = "") -> Project:
    """A project with these lines below `tables`, and a `.env` of this text."""
    (folder / "sources.yaml").write_text(HEAD + "".join(f"      {line}\n" for line in lines))
    (folder / ".env").write_text(env)
    return open_project(folder)


def test_a_value_has_the_type_that_yaml_gives_to_what_stands_for_it(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text(
        'warehouse: {keep: "${KEEP:-5}"}\n'
        'airflow: {schedule: "${SCHEDULE:-null}", docs: "${DOCS:-yes}"}\n'
        f"{HEAD}      a:\n        cursor: {{column: at, initial_value: '${{START:-2026-01-31}}'}}\n"
        '        lookback: ${LOOKBACK:-30m}\n        tags: [core, "${TAG:-x}"]\n'
        "        where: id > ${LEAST:-7} or ${OTHER:-false}\n"
    )

    found = open_project(tmp_path)

    (table,) = found.tables
    airflow = found.declaration.airflow
    assert (found.declaration.warehouse.keep, airflow.schedule, airflow.docs) == (5, None, True)
    assert table.settings.lookback == dt.timedelta(minutes=30)
    assert table.settings.tags == ("core", "x")
    assert table.settings.where == "id > 7 or false"
    assert table.cursor is not None
    assert table.cursor.initial_value == dt.date(2026, 1, 31)


def test_the_environment_takes_precedence_over_the_file_and_both_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{name}: {{cursor: at, where: '${{{name.upper()}:-default}}'}}" for name in "abcd"]
    monkeypatch.setenv("A", "environment")
    monkeypatch.setenv("D", "")

    tables = project(tmp_path, *lines, env="A=file\nB=file\n").tables

    assert [table.settings.where for table in tables] == [
        *("environment", "file", "default", "default")
    ]


def test_nothing_in_place_of_a_reference_unsets_a_default(tmp_path: Path) -> None:
    (table,) = project(tmp_path, "a: {cursor: at, where: '${ONLY_SOME:-}'}").tables

    assert table.settings.where is None


def test_names_and_text_with_a_doubled_dollar_stay_as_they_are(tmp_path: Path) -> None:
    (table,) = project(
        tmp_path, "'${T:-x}': {cursor: at, name: t, where: \"a = '$${B:-c}' or b = '$1{'\"}"
    ).tables

    assert table.name == "${T:-x}"
    assert table.settings.where == "a = '${B:-c}' or b = '$1{'"


def test_explain_shows_the_value_and_the_line_that_refers_to_it(tmp_path: Path) -> None:
    (table,) = project(tmp_path, "a:", "  cursor: at", "  lookback: ${L:-2h}", env="L=90s").tables

    shown = explain_table(table, None).splitlines()

    (lookback,) = [line.split() for line in shown if "lookback" in line]
    assert lookback == ["lookback", "90s", "sources.yaml:8"]


def test_secrets_are_looked_up_when_they_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = project(tmp_path, "a: {cursor: at}")

    monkeypatch.setenv("SHOP_URL", "postgresql://u@later/db")

    assert connection_of(opened, "shop").dsn == "postgresql://u@later/db"


def test_a_secret_may_have_a_default_without_a_password(tmp_path: Path) -> None:
    declared = HEAD.replace("${SHOP_URL}", "${SHOP_URL:-postgresql://u@h/db}")
    (tmp_path / "sources.yaml").write_text(f"{declared}      a: {{cursor: at}}\n")

    assert connection_of(open_project(tmp_path), "shop").dsn == "postgresql://u@h/db"


@given(st.text(st.characters(blacklist_characters="}\r\0", codec="utf-8")), st.booleans())
def test_dbt_reads_a_reference_as_lakefeed_does(default: str, is_set: bool) -> None:
    text = f"a ${{URL:-{default}}} b"
    variables = {"URL": "set"} if is_set else {}

    template = Environment(keep_trailing_newline=True).from_string(for_dbt(text))

    assert template.render(env_var=variables.get) == resolved(text, variables)


def test_the_profile_has_the_default_of_the_catalogues_url_but_not_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "LAKE_URL", "postgresql://u:secret@h/lake")
    (tmp_path / "sources.yaml").write_text(
        'warehouse: {type: ducklake, data_url: "${LAKE:-data/lake}", '
        'catalog_url: "${LAKE_URL:-postgresql://localhost/lake}"}\n'
        f"{HEAD}      a: {{cursor: at}}\n"
    )

    (attached,) = output_of(open_project(tmp_path))["attach"]

    assert attached["path"] == (
        "ducklake:postgres:{{ env_var('LAKE_URL', '') or 'postgresql://localhost/lake' }}"
    )
    data = Environment().from_string(attached["options"]["data_path"])
    for value in ("", "data/other", "/srv/lake", "s3://bucket/lake"):
        place = data.render(env_var=lambda name, _: value if name == "LAKE" else "")  # noqa: B023
        assert place == {"": "../data/lake", "data/other": "../data/other"}.get(value, value)
