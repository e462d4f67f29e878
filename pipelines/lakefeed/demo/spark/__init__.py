"""A Spark cluster as processes on this machine: a master, workers, and a Spark Connect server.

Imports: `demo`.
Public: `cluster`, `distribution`, `relay`, `settings`.
"""
