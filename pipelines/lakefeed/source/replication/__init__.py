"""What a server, a role and tables need for the log to be read, and the statements that set it up.

Imports: `source.connections`, `source.log`.
Public: `membership`, `publications`, `published_since`, `publishing`, `running`,
    `timelines`.
"""
