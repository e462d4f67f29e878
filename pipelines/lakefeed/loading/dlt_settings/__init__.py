"""What dlt is told by Lakefeed, and what it is told by the project's `.dlt` and the environment.

Imports: `declaration`.
Public: `environment`, `schemes`, `store_settings`.
"""
