"""The macros of the adapter `lakefeed_snowflake`, as dbt finds them."""

from pathlib import Path

PACKAGE_PATH = str(Path(__file__).parent)
