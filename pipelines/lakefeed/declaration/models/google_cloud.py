"""Names of Google Cloud in `sources.yaml`; see value_types.py on parsers."""

from __future__ import annotations

import re
from typing import Any

from lakefeed.declaration.environment.references import with_defaults

_LOCATION = re.compile(r"[A-Za-z]+(-[a-z]+[0-9]+)?")
# Older ones begin with the domain of a company.
_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")


def parse_project(value: Any) -> Any:
    """Checks the ID of a project.

    Source: https://cloud.google.com/resource-manager/docs/creating-managing-projects
    """
    rest = with_defaults(value, without="my-project") if isinstance(value, str) else ""
    if not _PROJECT.fullmatch(rest):
        raise ValueError("the ID of a Google Cloud project, such as my-project")
    return value


def parse_location(value: Any) -> Any:
    """Checks the name of a region, or of several.

    Source: https://cloud.google.com/bigquery/docs/locations
    """
    if not isinstance(value, str) or not _LOCATION.fullmatch(value):
        raise ValueError("a location of BigQuery's, such as EU or europe-west3")
    return value
