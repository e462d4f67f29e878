"""Lakefeed as dlt sees it: resource, backend, pipeline and destination, and where we patch dlt.

Imports: `declaration`, `declaration.document`, `loading`, `loading.extract`, `loading.plan`,
    `loading.raw`, `source.inspection`.
Public: `destination`, `environment`, `load_packages`, `pipeline`, `resource`.
"""
