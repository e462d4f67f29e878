"""The variables that `sources.yaml` refers to, from the environment and from `.env`.

Imports: nothing of Lakefeed.
Public: `env_file`, `references`, `variables`.
"""
