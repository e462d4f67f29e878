"""`sources.yaml` as a file: parsing with positions, validation, and messages about mistakes.

Imports: `declaration.environment`, `declaration.models`.
Public: `loader`, `messages`, `positions`, `quoting`, `root`, `written_text`.
"""
