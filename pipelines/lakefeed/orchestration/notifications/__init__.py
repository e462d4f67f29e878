"""Notifications: what people are told after a run, what they were told already, and by what way.

Imports: `declaration`, `declaration.environment`, `orchestration.reports`,
    `source.connections`.
Public: `channels`, `news`, `told`.
"""
