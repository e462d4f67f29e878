"""How a declared source is reached: credentials, sessions, limits, and connections that go silent.

Imports: `declaration`.
Public: `connection`, `credentials`, `env_file`, `failure`, `keepalive`, `limits`,
    `session_settings`, `side_query`, `watchdog`, `watched_session`.
"""
