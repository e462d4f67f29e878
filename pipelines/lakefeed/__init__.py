"""Lakefeed: from one `sources.yaml` to immutable raw Parquet, staging, a star schema and a DAG.

The package is layered, and imports point one way only::

    errors <- declaration <- source, loading <- transformation <- orchestration <- cli

`declaration` needs PyYAML and pydantic alone, so that a scheduler can parse it every few seconds.
`tests/test_architecture.py` holds the direction.
"""

__version__ = "0.2.0"
