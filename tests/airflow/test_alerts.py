"""`airflow.notify`: Airflow's own notifiers, and a user's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakefeed.errors import DeclarationError
from tests.conftest import Lake

NOTIFIER = """
from pathlib import Path
from airflow.sdk import BaseNotifier

class FileNotifier(BaseNotifier):
    template_fields = ("text",)

    def __init__(self, path, text="{{ ti.run_id }}: {{ exception }}", **arguments):
        super().__init__(**arguments)
        self.path, self.text = path, text

    def notify(self, context):
        with Path(self.path).open("a") as file:
            file.write(self.text + "\\n")

class Broken(FileNotifier):
    def notify(self, context):
        raise OSError("no pager")
"""
RUN = {"dag_run": {"dag_id": "de_batch_pipeline", "dag_run_id": "manual__1"}}


@pytest.fixture
def own_notifiers(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module beside the DAG, which Airflow can import."""
    folder = lake.root / "airflow/dags"
    (folder / "pagers.py").write_text(NOTIFIER)
    monkeypatch.syspath_prepend(folder)
    yield "pagers"
    sys.modules.pop("pagers", None)


def declare(lake: Lake, airflow: str) -> Any:
    yaml = (lake.declare("orders: {cursor: at}").root / "sources.yaml").read_text()
    (lake.root / "sources.yaml").write_text(f"airflow:\n  {airflow}\n{yaml}")
    return lake.project


def problems_of(lake: Lake, airflow: str) -> str:
    from lakefeed.dag import build_dag

    declare(lake, airflow)
    with pytest.raises(DeclarationError) as caught:
        build_dag(lake.root)
    return str(caught.value)


def test_a_notifier_of_an_installed_provider_is_created_by_class_name(lake: Lake) -> None:
    from lakefeed.dag import build_dag

    declare(lake, "notify: {SmtpNotifier: {to: team@example.org}}")
    (notifier,) = build_dag(lake.root).task_dict["report"].on_failure_callback

    assert (type(notifier).__name__, notifier.to) == ("SmtpNotifier", "team@example.org")


def test_a_custom_notifier_is_created_by_import_path(lake: Lake, own_notifiers: str) -> None:
    from lakefeed.dag.alerts import notifiers_of

    project = declare(lake, f"notify: {{{own_notifiers}.FileNotifier: {{path: told}}}}")

    assert notifiers_of(project)[0].path == "told"


def test_an_unknown_name_is_reported_with_its_line_and_the_most_similar_one(lake: Lake) -> None:
    message = problems_of(lake, "notify: {SmtpNotifer: {to: team@example.org}}")

    assert message.startswith("sources.yaml:2:12: no installed provider has a notifier")
    assert "did you mean `SmtpNotifier`?" in message


def test_wrong_arguments_are_reported_with_their_line(lake: Lake) -> None:
    assert problems_of(lake, "notify:\n    SmtpNotifier:") == (
        "sources.yaml:3:5: `SmtpNotifier`: missing 1 required positional argument: 'to'"
    )


def test_a_class_that_is_not_a_notifier_is_refused(lake: Lake) -> None:
    assert "`pathlib.Path` isn't a notifier" in problems_of(lake, "notify: {pathlib.Path: {}}")
    assert "`pagers.Gone` can't be imported" in problems_of(lake, "notify: {pagers.Gone: {}}")


def test_a_deadline_counts_from_when_the_run_was_queued(lake: Lake) -> None:
    from airflow.sdk import DeadlineReference

    from lakefeed.dag import build_dag

    declare(lake, "deadline: 2h")
    (alert,) = build_dag(lake.root).deadline

    assert alert.reference == DeadlineReference.DAGRUN_QUEUED_AT
    assert alert.interval.total_seconds() == 7200
    assert alert.callback.kwargs == {"notify": {}, "allowed": "2h"}


def test_a_late_run_calls_every_notifier_even_if_one_fails(
    lake: Lake, own_notifiers: str, tmp_path: Path
) -> None:
    from lakefeed.dag.alerts import tell_missed_deadline

    told = tmp_path / "told"
    notify = {"pagers.Broken": {"path": ""}, "pagers.FileNotifier": {"path": str(told)}}

    with pytest.raises(RuntimeError, match=r"pagers\.Broken: no pager"):
        tell_missed_deadline(RUN, notify, "2h")

    assert told.read_text() == (
        "manual__1: run manual__1 of de_batch_pipeline didn't finish within 2h\n"
    )
