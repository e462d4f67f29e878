"""What the next load of a table would read, and what that would cost the source.

Imports: `declaration`, `declaration.models`, `loading`, `loading.extract`, `loading.plan`,
    `loading.ranges`, `loading.raw`, `loading.sessions`, `source`, `source.connections`,
    `source.inspection`.
Public: `key_comparison`, `planned_load`, `preview`.
"""
