"""Connections to sources: credentials, sessions, connection limits, silent connections.

Imports: `declaration`.
Public: `connection`, `credentials`, `env_file`, `failure`, `keepalive`, `limits`,
    `session_settings`, `sessions`, `side_query`, `watchdog`, `watched_session`.
"""
