"""How messages say where a session of the source comes from."""

from __future__ import annotations

import datetime as dt


def origin_of(host: str | None, port: int | None, since: dt.datetime) -> str:
    """`from 10.0.0.7:5512, since 2026-11-30 08:00:00 UTC`; without a host, from a local socket.

    Args:
        since: when its transaction began.
    """
    place = f"{host}:{port}" if host else "a local socket"
    return f"from {place}, since {since.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
