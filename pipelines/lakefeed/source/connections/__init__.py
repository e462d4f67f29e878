"""Connections to sources: credentials, sessions, connection limits, silent connections.

Imports: `declaration`, `declaration.environment`.
Public: `budget`, `connection`, `credentials`, `failure`, `keepalive`, `limits`, `origin`,
    `session_settings`, `sessions`, `side_query`, `watchdog`, `watched_session`.
"""
