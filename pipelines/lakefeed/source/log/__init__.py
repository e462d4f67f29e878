"""PostgreSQL's log, read by logical decoding: committed changes, slots and publications.

Imports: `source`, `source.connections`.
Public: `checks`, `failure`, `lsn`, `messages`, `rows`, `server`, `session`,
    `slots`, `stream`.
"""
