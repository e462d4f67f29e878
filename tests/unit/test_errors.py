"""Errors cross from one process to another."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
from collections.abc import Iterator

import pytest

import lakefeed
from lakefeed.errors import LakefeedError, Problem


def kinds(kind: type[LakefeedError] = LakefeedError) -> Iterator[type[LakefeedError]]:
    """The kinds of error that a load may raise."""
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


def import_all(package: str) -> None:
    for module in pkgutil.walk_packages(lakefeed.__path__, "lakefeed."):
        if module.name.startswith(package) and ".workers.process" not in module.name:
            importlib.import_module(module.name)


import_all("lakefeed.loading")


@pytest.mark.parametrize("kind", sorted(set(kinds()), key=lambda kind: kind.__qualname__))
def test_an_error_survives_pickling(kind: type[LakefeedError]) -> None:
    error = kind("it broke", where="sources.yaml:3", do="mend it")

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is kind
    assert (again.what, again.where, again.do) == ("it broke", "sources.yaml:3", "mend it")


def test_the_problems_of_a_declaration_survive_pickling() -> None:
    from lakefeed.errors import DeclarationError

    problems = [Problem("sources.yaml", 3, 5, "unknown key")]

    again = pickle.loads(pickle.dumps(DeclarationError("not valid", problems=problems)))

    assert str(again) == "not valid\nsources.yaml:3:5: unknown key"
    assert again.problems == tuple(problems)
