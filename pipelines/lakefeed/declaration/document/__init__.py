"""`sources.yaml` as a file: where each value stands, how it is validated, and how mistakes read.

Imports: `declaration`.
Public: `loader`, `messages`, `positions`, `quoting`, `root`.
"""
