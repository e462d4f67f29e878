"""PostgreSQL's log, read by logical decoding: committed changes, slots and publications.

Imports: `source.connections`.
Public: `checks`, `lsn`, `membership`, `messages`, `publications`, `rows`, `server`, `slots`,
    `stream`.
"""
