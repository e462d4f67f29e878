"""A Spark cluster as processes on this machine: a master, workers, and a server for clients.

Imports: `demo`.
Public: `cluster`, `distribution`, `relay`, `settings`.
"""
