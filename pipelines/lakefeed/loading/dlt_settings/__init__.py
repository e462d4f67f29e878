"""What dlt is told by Lakefeed, and what it is told by the project's `.dlt` and the environment.

Imports: `declaration`, `declaration.environment`.
Public: `environment`, `schemes`, `store_settings`.
"""
