"""Connects Lakefeed to dlt: resource, backend, pipeline, destination, and patches of dlt.

Imports: `declaration`, `declaration.document`, `declaration.environment`, `loading`,
    `loading.dlt_settings`, `loading.extract`, `loading.object_store`, `loading.plan`,
    `loading.raw`, `source`, `source.inspection`.
Public: `destination`, `isolation`, `load_packages`, `pipeline`, `resource`.
"""
