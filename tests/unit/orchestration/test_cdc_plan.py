"""What `cdc setup` asks for on servers that the tests don't have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lakefeed.declaration.models.wal import Wal
from lakefeed.orchestration.log.setup_plan import Facts, plan_setup
from lakefeed.orchestration.log.steps import Need
from lakefeed.source.log.server import Server

SERVER = Server(
    version=15,
    is_standby=False,
    wal_level="logical",
    slots=10,
    slots_used=0,
    senders=10,
    most_kept=1 << 40,
    idle_timeout=None,
    database="shop",
    role="loader",
    may_replicate=True,
    may_create=True,
    provider="",
)


def needs(server: Server) -> tuple[Need, ...]:
    """What must be done first on a server without slot, publication or tables."""
    facts = Facts(
        source="shop",
        server=server,
        slot=None,
        publication=None,
        membership=None,
        tables=(),
        is_new=True,
        was_decoded=False,
    )
    return plan_setup(facts, Wal().of_source("shop"), allow_unbounded=False).needs


def test_a_server_that_has_everything_needs_nothing() -> None:
    assert needs(SERVER) == ()


@pytest.mark.parametrize(
    ("provider", "grant"),
    [
        ("", 'alter role "loader" replication;'),
        ("rds", 'grant rds_replication to "loader";'),
        ("cloudsql", 'alter role "loader" with replication;'),
    ],
)
def test_the_grant_is_that_of_the_provider(provider: str, grant: str) -> None:
    (need,) = needs(replace(SERVER, provider=provider, may_replicate=False))

    assert need.sql == (grant,)


@pytest.mark.parametrize(
    ("provider", "named"),
    [
        ("rds", "rds.logical_replication"),
        ("cloudsql", "cloudsql.logical_decoding"),
        ("azure", "`wal_level = logical`"),
    ],
)
def test_the_setting_is_that_of_the_provider(provider: str, named: str) -> None:
    (need,) = needs(replace(SERVER, provider=provider, wal_level="replica"))

    assert named in need.do


def test_a_standby_before_16_is_refused_with_the_reason() -> None:
    (need,) = needs(replace(SERVER, is_standby=True))

    assert "standbys can decode their log from PostgreSQL 16 on" in need.what
    assert need.do == "declare the connection of the primary"
