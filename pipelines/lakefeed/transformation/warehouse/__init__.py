"""The warehouse files and their state: the candidate, the published file, earlier versions.

Imports: `declaration`, `loading.locks`, `transformation`, `transformation.generate`.
Public: `candidate`, `connection`, `open_file`, `orphaned_relations`, `publication`,
    `publication_state`, `restore`.
"""
