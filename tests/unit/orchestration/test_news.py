"""What of a run is news to the people whom `notify` names."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from lakefeed.errors import BuildFailed, TableFailed
from lakefeed.orchestration.notifications.news import (
    News,
    Told,
    after_telling,
    news_of,
    news_of_stop,
    still_seen,
)
from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from lakefeed.transformation.dbt_adapter.runner import BuildResult, NodeResult

NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
RUN = "lakefeed run"
NOBODY = Told({})
FINE = RunReport((TableReport("shop.t", "shop__t", "loaded"),))
FAILED = RunReport((TableReport("shop.t", "shop__t", "failed", error=TableFailed("broken")),))


def built(report: RunReport, **statuses: str) -> RunReport:
    nodes = tuple(NodeResult(name, "model", status) for name, status in statuses.items())
    return replace(report, build=BuildResult(nodes, 1.0))


def known(*names: str, ago: dt.timedelta = dt.timedelta(hours=1)) -> Told:
    return Told(dict.fromkeys(names, NOW - ago))


def test_success_is_no_news() -> None:
    assert news_of(FINE, RUN, NOBODY, NOW) is None


def test_a_failure_is_news_once_a_day() -> None:
    assert news_of(FAILED, RUN, NOBODY, NOW) == News(failing=("shop.t",))
    assert news_of(FAILED, RUN, known("shop.t"), NOW) is None
    assert news_of(FAILED, RUN, known("shop.t", ago=dt.timedelta(days=1)), NOW)


def test_another_failure_is_news_while_the_first_lasts() -> None:
    report = built(FAILED, dim_t="error")

    assert news_of(report, RUN, known("shop.t"), NOW) == News(failing=("shop.t", "dim_t"))


def test_a_recovery_is_news_only_of_what_the_run_has_seen() -> None:
    told = known("shop.t", "shop.other", "dim_t")

    assert news_of(FINE, RUN, told, NOW) == News(recovered=("shop.t",))
    assert news_of(built(FINE, dim_t="success"), RUN, told, NOW) == News(
        recovered=("shop.t", "dim_t")
    )
    assert news_of(built(FINE, dim_t="skipped"), RUN, known("dim_t"), NOW) is None


def test_a_model_that_is_held_back_has_not_recovered_though_it_was_built() -> None:
    report = replace(built(FINE, dim_t="success"), kept={"dim_t": "test t failed"})

    assert news_of(report, RUN, known("dim_t"), NOW) is None
    assert news_of(report, RUN, NOBODY, NOW) == News(failing=("dim_t",))


def test_a_build_that_could_not_start_is_followed_as_one_thing() -> None:
    report = replace(FINE, build_error=BuildFailed("dbt can't read the project"))

    assert news_of(report, RUN, NOBODY, NOW) == News(failing=("dbt",))
    assert news_of(FINE, RUN, known("dbt"), NOW) is None
    assert news_of(built(FINE), RUN, known("dbt"), NOW) == News(recovered=("dbt",))


def test_a_command_that_an_error_ended_has_recovered_when_it_has_a_report() -> None:
    assert news_of_stop(RUN, NOBODY, NOW) == News(failing=(RUN,))
    assert news_of_stop(RUN, known(RUN), NOW) is None
    assert news_of(RunReport(()), RUN, known(RUN), NOW) == News(recovered=(RUN,))
    assert news_of(RunReport(()), "lakefeed load", known(RUN), NOW) is None


def test_a_change_in_the_source_is_news_until_no_run_sees_it_any_more() -> None:
    changed = replace(FINE, drift=("shop.public.t: column `a` was dropped",))
    news = news_of(changed, RUN, NOBODY, NOW)
    assert news == News(drift=changed.drift)

    told = after_telling(NOBODY, news, NOW)
    assert news_of(changed, RUN, told, NOW) is None
    assert still_seen(told, changed) == told
    assert still_seen(told, FINE) == NOBODY


def test_what_was_told_is_known_until_it_has_recovered() -> None:
    told = after_telling(known("shop.t", "dim_t"), News(("shop.u",), recovered=("shop.t",)), NOW)

    assert told.failing == {**known("dim_t").failing, "shop.u": NOW}
