"""The adapter's version, which dbt asks for: Lakefeed's."""

from lakefeed import __version__ as version

__all__ = ["version"]
