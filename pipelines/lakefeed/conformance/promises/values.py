"""Values reach staging as PostgreSQL has them: when a table is built, and when rows are merged."""

from __future__ import annotations

from lakefeed.conformance.spelling import Row, source_texts
from lakefeed.conformance.trial import PromiseBroken, Trial, refuse_unequal
from lakefeed.conformance.values import CASES, WITHOUT_INFINITY
from lakefeed.orchestration.build.build import build_from_scratch

_SIGNED_ZERO = ("real", "double precision")


def first_build(trial: Trial) -> None:
    """Loads every table, then builds all models from nothing."""
    trial.load()
    report = build_from_scratch(trial.project)
    if report.build is None or report.build.failures or report.published_at is None:
        failed = report.build.failures if report.build else []
        raise PromiseBroken(
            "the first build published nothing" + "".join(f"; {n.name}: {n.told}" for n in failed)
        )
    trial.refuse_difference("orders", "lines", "customers", "changing", "accounts")
    total = [(100, 0)]
    refuse_unequal("the mart `total`", _whole(trial), total)


def types_survive_a_build(trial: Trial) -> None:
    """Compares each type, value by value. What an engine doesn't have is refused by name."""
    _refuse_changed_values(trial)
    if trial.project.declaration.warehouse.type in WITHOUT_INFINITY:
        _refuse_infinity_unnamed(trial)


def types_survive_a_merge(trial: Trial) -> None:
    """Lets every row be merged, then compares each type again."""
    trial.execute("update types set at = clock_timestamp()")
    trial.run("types")
    _refuse_changed_values(trial)


def _refuse_infinity_unnamed(trial: Trial) -> None:
    """Infinite times stop their model with the column's name, and finite ones bring it back."""
    trial.execute("update endless set d = 'infinity', t = '-infinity', z = 'infinity'")
    report = trial.try_run("endless")
    told = [node.told for node in report.build.failures] if report.build else []
    if len(told) != 1 or "holds infinity" not in told[0]:
        raise PromiseBroken(f"infinite times weren't refused: {'; '.join(told) or 'no failure'}")
    trial.execute("update endless set d = '2026-01-02', t = '2026-01-02', z = '2026-01-02'")
    trial.run("endless")
    trial.refuse_difference("endless")


def _whole(trial: Trial) -> list[tuple[int, ...]]:
    rows = trial.seen("marts.total", "accounts, total")
    return [tuple(int(str(value)) for value in row) for row in rows]


def _refuse_changed_values(trial: Trial) -> None:
    names = [name for name in trial.columns_of("types") if name in CASES]
    columns = ["id", *names]
    staged = trial.staged("types", columns)
    expected = source_texts(trial.rows, "types", columns)
    differing = []
    for place, name in enumerate(names, start=1):
        found, wanted = _column(name, staged, place), _column(name, expected, place)
        if found != wanted:
            differing.append(f"{CASES[name].type}: {_difference(found, wanted)}")
    if differing:
        raise PromiseBroken(f"{len(differing)} types differ: {'; '.join(differing[:10])}")


def _column(name: str, rows: list[Row], place: int) -> dict[str | None, str | None]:
    """The values of a column by key. An engine's tables may store -0.0 as the 0.0 it equals."""
    zero = "0" if CASES[name].type in _SIGNED_ZERO else "-0"
    return {row[0]: zero if row[place] == "-0" else row[place] for row in rows}


def _difference(found: dict[str | None, str | None], wanted: dict[str | None, str | None]) -> str:
    for key, value in wanted.items():
        if found.get(key) != value:
            return f"{found.get(key)!r:.80} instead of {value!r:.80}"
    return f"{len(found)} rows instead of {len(wanted)}"
