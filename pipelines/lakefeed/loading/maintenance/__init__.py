"""Raw kept small: loads expire, files are compacted, old versions dropped, keys erased.

Imports: `declaration`, `loading.extract`, `loading.plan`, `loading.raw`, `loading.sessions`,
    `source.inspection`.
Public: `erase`, `prune`, `scratch_engine`.
"""
