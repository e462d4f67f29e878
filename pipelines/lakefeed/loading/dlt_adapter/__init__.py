"""Connects Lakefeed to dlt: resource, backend, pipeline, destination, and patches of dlt.

Imports: `declaration`, `declaration.document`, `loading`, `loading.extract`, `loading.plan`,
    `loading.raw`, `source.inspection`.
Public: `destination`, `environment`, `isolation`, `load_packages`, `pipeline`, `resource`.
"""
