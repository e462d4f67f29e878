"""Keeps Lakefeed's settings of dlt from other code in the same process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lakefeed.loading.dlt_settings.environment import VARIABLES

_DESTINATION = "lakefeed.loading.dlt_adapter.destination"


@contextmanager
def dlt_restored() -> Iterator[None]:
    """Restores dlt's environment variables and run context afterwards.

    For programs that use dlt themselves, since both belong to the whole process.
    """
    variables = {name: os.environ.get(name) for name in VARIABLES}
    context = None
    if "dlt" in sys.modules:
        from lakefeed.loading.dlt_adapter.config_providers import present_context

        context = present_context()
    try:
        yield
    finally:
        _set(variables)
        if _DESTINATION in sys.modules:
            from lakefeed.loading.dlt_adapter.destination import restore_context

            restore_context(context)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
