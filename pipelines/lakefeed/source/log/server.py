"""What of a server and a role decides whether the log can be decoded there."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2.extensions import connection as PgConnection

# `max_slot_wal_keep_size` came with 13 and counts in MB, `idle_replication_slot_timeout` with 18
# (in minutes or seconds, so with a unit).
_SERVER = """
select
    current_setting('server_version_num')::int / 10000,
    pg_is_in_recovery(),
    current_setting('wal_level'),
    current_setting('max_replication_slots')::int,
    (select count(*) from pg_replication_slots),
    current_setting('max_wal_senders')::int,
    (select setting::bigint from pg_settings where name = 'max_slot_wal_keep_size'),
    nullif(current_setting('idle_replication_slot_timeout', true), '0'),
    current_database()::text,
    current_user::text,
    r.rolreplication or r.rolsuper or coalesce((
        select pg_has_role(m.oid, 'MEMBER') from pg_roles as m where m.rolname = 'rds_replication'
    ), false),
    has_database_privilege(current_database(), 'CREATE'),
    (
        select min(m.rolname::text) from pg_roles as m
        where m.rolname in ('rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin')
    )
from pg_roles as r
where r.rolname = current_user
"""
_PROVIDERS = {"rds_superuser": "rds", "cloudsqlsuperuser": "cloudsql", "azure_pg_admin": "azure"}
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Server:
    """A server, and what this role may do there.

    Attributes:
        version: the major version.
        slots_used: the replication slots that exist, of all databases.
        most_kept: how many bytes of the log slots may hold back (`max_slot_wal_keep_size`); None
            for no bound.
        idle_timeout: after how long without a reader a slot is lost, such as `1d`; None for never.
        may_replicate: whether the role may create and read slots.
        may_create: whether the role may create publications.
        provider: `rds`, `cloudsql` or `azure`, whose settings and grants have names of their own;
            empty elsewhere.
    """

    version: int
    is_standby: bool
    wal_level: str
    slots: int
    slots_used: int
    senders: int
    most_kept: int | None
    idle_timeout: str | None
    database: str
    role: str
    may_replicate: bool
    may_create: bool
    provider: str


def read_server(session: PgConnection) -> Server:
    """The server that this session is on."""
    with session.cursor() as cursor:
        cursor.execute(_SERVER)
        (row,) = cursor.fetchall()
    most = row[6]
    return Server(
        version=row[0],
        is_standby=row[1],
        wal_level=row[2],
        slots=row[3],
        slots_used=row[4],
        senders=row[5],
        most_kept=None if most is None or most < 0 else most * _MEGABYTE,
        idle_timeout=row[7],
        database=row[8],
        role=row[9],
        may_replicate=row[10],
        may_create=row[11],
        provider=_PROVIDERS.get(row[12], ""),
    )
