"""The macros of the adapter `lakefeed_bigquery`, as dbt finds them."""

from pathlib import Path

PACKAGE_PATH = str(Path(__file__).parent)
