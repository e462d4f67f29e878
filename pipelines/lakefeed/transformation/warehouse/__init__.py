"""The warehouse files: the candidate, the published file and its earlier versions, and their state.

Imports: `declaration`, `loading.locks`, `transformation`, `transformation.generate`.
Public: `candidate`, `connection`, `open_file`, `orphaned_relations`, `publication`,
    `publication_state`, `restore`.
"""
