"""A project's files and selection: `init`, `sync`, the catalogue, the secrets of its stack.

Imports: `declaration`, `declaration.document`, `loading.plan`, `source.connections`,
    `source.inspection`, `transformation.generate`.
Public: `catalogue_sync`, `init`, `selection`, `sync`.
"""
