"""Lakefeed: from one `sources.yaml` to immutable raw Parquet, staging, a star schema and a DAG.

From Python, for notebooks and other orchestrators (docs/python.md)::

    project = lakefeed.open("path/to/project")
    report = project.run()

The package is layered, and imports point one way only::

    errors <- declaration <- source, loading <- transformation <- orchestration <- api, cli

`declaration` needs PyYAML and pydantic alone, so that a scheduler can parse it every few seconds.
`tests/test_architecture.py` holds the direction.
"""

from lakefeed.api import Project, open
from lakefeed.errors import LakefeedError

__all__ = ["LakefeedError", "Project", "__version__", "open"]

__version__ = "0.2.0"
