"""Creates scratch databases with the schema of a source and some of its rows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import make_dsn, parse_dsn

from lakefeed.demo.server import postgres_program
from lakefeed.errors import LakefeedError, TableFailed
from lakefeed.lab.upheavals import Whole
from lakefeed.loading.plan.queries import declared_condition
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.source.connections.connection import Connection
from lakefeed.sql import quote, quote_qualified

# The schema of the lab's own tables, with copied rows, and sequences for numeric cursors.
LAB_SCHEMA = "lakefeed_lab"

_NOT_DUMPED = ("owner", "privileges", "publications", "subscriptions", "tablespaces")
_DENIED = """
select n.nspname, c.relname
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and n.nspname !~ '^pg_'
    and not has_table_privilege(c.oid, 'select')
"""
_COLUMNS = """
select a.attname, a.attgenerated <> '', a.attidentity = 'a', a.attnotnull, exists (
    select from pg_index as i
    where i.indrelid = a.attrelid and i.indisunique
        and a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1])
)
from pg_attribute as a
where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped
"""
# The partitions of a table may not cover today's rows. A table that is partitioned by hash can't
# have a default partition, and needs none.
_ACCEPT_ALL_ROWS = """
do $$ begin
    create table {schema}.others_{table.number} partition of {table.quoted} default;
exception when others then null;
end $$
"""


@dataclass(frozen=True)
class LabTable:
    """A table of the scratch database.

    Attributes:
        written: the columns that inserts set.
        changeable: the columns that updates may change.
    """

    plan: TablePlan
    number: int
    written: tuple[str, ...]
    changeable: tuple[str, ...]

    @property
    def quoted(self) -> str:
        return quote_qualified(self.plan.table.schema, self.plan.table.name)

    @property
    def whole(self) -> Whole:
        """The upheavals that the declaration covers, so that staging must still equal the table."""
        plan, settings = self.plan, self.plan.table.settings
        may_lose = plan.watches_deletes or plan.table.mode == "full_refresh"
        types = {column.name: column.type for column in plan.columns}
        named = () if settings.where else tuple(name for name in self.changeable if name in types)
        return Whole(
            plan.table.schema,
            plan.table.name,
            self.written,
            may_lose=may_lose,
            # What is detached stays in raw: the log has no deletes for it.
            may_part=may_lose and not plan.table.reads_log,
            may_change=settings.schema_changes != "freeze",
            alike=tuple(
                pair for pair in combinations(named, 2) if types[pair[0]] == types[pair[1]]
            ),
        )

    @property
    def copied(self) -> str:
        """The table with the copied rows."""
        return f"{LAB_SCHEMA}.copied_{self.number}"

    @property
    def counter(self) -> str:
        """The sequence of its numeric cursor."""
        return f"{LAB_SCHEMA}.cursor_{self.number}"


def copy_schema(connection: Connection, session: PgConnection, url: str) -> list[str]:
    """Recreates the schemas, types, tables and indexes that the source's role can see.

    Args:
        session: a session on the source.
        url: the URL of the empty database.

    Returns: what couldn't be created, such as extensions that the server doesn't have.

    Raises:
        LakefeedError: no installed pg_dump can read the source.
    """
    dumped = _dump(connection, session)
    restored = subprocess.run(
        [postgres_program("psql"), "--no-psqlrc", "--quiet", "--dbname", url],
        input=dumped, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return re.findall(r"ERROR:\s+(.*)", restored.stderr)


def prepare_table(
    source: PgConnection, scratch: PgConnection, plan: TablePlan, number: int, rows: int
) -> LabTable:
    """Copies rows of the source, and inserts half of them into the scratch table.

    Writers take further rows from the copy. Columns that aren't loaded, and those whose clear
    values mustn't leave the source, aren't copied.

    Raises:
        TableFailed: the rows can't be read, the declared primary key isn't unique, or its clear
            values mustn't leave the source.
    """
    if hashed := [name for name in plan.key if name in plan.protections]:
        message = f"`{hashed[0]}` of its primary key is hashed, so it can't be copied"
        raise TableFailed(message, where=plan.table.where)
    facts = _rows(scratch, _COLUMNS, [quote_qualified(plan.table.schema, plan.table.name)])
    generated = {name for name, is_generated, *_ in facts if is_generated}
    loaded = {column.name for column in plan.columns} - plan.protections.keys()
    written = tuple(name for name, *_ in facts if name in loaded - generated)
    cursor = plan.cursor.names if plan.cursor else ()
    fixed = {*plan.key, *cursor, *plan.retyped, *(f[0] for f in facts if f[2] or f[4])}
    where = plan.table.settings.where or ""
    changeable = tuple(name for name in written if name not in fixed and name not in where)
    table = LabTable(plan, number, written, changeable)
    unread = [f[0] for f in facts if f[3] and f[0] not in loaded]
    try:
        _fill(source, scratch, table, unread, rows)
    except psycopg2.errors.UniqueViolation:
        raise TableFailed(
            f"its primary key ({', '.join(plan.key)}) isn't unique", where=plan.table.where
        ) from None
    except psycopg2.Error as error:
        reason = error.diag.message_primary or "the connection was lost"
        raise TableFailed(reason, where=plan.table.where) from None
    else:
        scratch.commit()
    finally:
        scratch.rollback()
        source.rollback()
    return table


def _dump(connection: Connection, session: PgConnection) -> str:
    given = parse_dsn(connection.for_session("lakefeed lab"))
    secret = {"PGPASSWORD": given.pop("password")} if "password" in given else {}
    denied = [quote_qualified(*names) for names in _rows(session, _DENIED, [])]
    arguments = [
        "--schema-only",
        *(f"--no-{part}" for part in _NOT_DUMPED),
        *(f"--exclude-table={name}" for name in denied),
        *("--dbname", make_dsn(**given)),
    ]
    # The user's pg_dump is likelier to match the server's version and encryption than the wheel's.
    reason = ""
    for program in filter(None, (shutil.which("pg_dump"), postgres_program("pg_dump"))):
        dumped = subprocess.run(
            [program, *arguments],
            env={**os.environ, **secret}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if dumped.returncode == 0:
            return dumped.stdout
        reason = _reason(connection, dumped.stderr)
    raise LakefeedError(
        f"can't read the schema of `{connection.source}`: {reason}",
        do="install a pg_dump of the server's version or newer",
    )


def _reason(connection: Connection, stderr: str) -> str:
    """Why pg_dump failed, without anything that it prints about the connection."""
    if "server version mismatch" in stderr:
        return "pg_dump is older than the server"
    if errors := re.findall(r"ERROR:\s+(.*)", stderr):
        return str(errors[0])
    return connection.failure(stderr).what


def _fill(
    source: PgConnection, scratch: PgConnection, table: LabTable, unread: list[str], rows: int
) -> None:
    plan, columns = table.plan, ", ".join(quote(name) for name in table.written)
    with scratch.cursor() as cursor, tempfile.TemporaryFile() as spool:
        cursor.execute("set local session_replication_role = replica")
        for name in unread:
            cursor.execute(f"alter table {table.quoted} alter {quote(name)} drop not null")
        cursor.execute(
            f"create table {table.copied} as select {columns} from {table.quoted} with no data"
        )
        cursor.execute(_ACCEPT_ALL_ROWS.format(schema=LAB_SCHEMA, table=table))
        if plan.key:
            # A key that is only declared must be unique here too, as the application keeps it.
            keys = ", ".join(quote(name) for name in plan.key)
            cursor.execute(f"create unique index on {table.copied} ({keys})")
            if not plan.table.catalogue or plan.key != plan.table.catalogue.primary_key:
                cursor.execute(f"create unique index on {table.quoted} ({keys})")
        # Child tables are filled on their own, if they are declared.
        only = "only " if plan.table.catalogue and plan.table.catalogue.kind == "table" else ""
        query = f"select {columns} from {only}{table.quoted} where {declared_condition(plan)}"
        with source.cursor() as reader:
            reader.execute(f"set local statement_timeout = {plan.statement_timeout_ms}")
            reader.copy_expert(f"copy ({query} limit {rows}) to stdout", spool)
        spool.seek(0)
        cursor.copy_expert(f"copy {table.copied} ({columns}) from stdin", spool)
        cursor.execute(
            f"insert into {table.quoted} ({columns}) overriding system value "
            f"select {columns} from {table.copied} limit {rows // 2}"
        )
        if plan.cursor and plan.cursor_kind == "number":
            newest = f"select coalesce(max({plan.cursor.value()}), 0) + 1 from {table.copied}"
            cursor.execute(f"create sequence {table.counter}")
            cursor.execute(f"select setval('{table.counter}', ({newest})::bigint)")


def _rows(session: PgConnection, query: str, arguments: list[str]) -> list[tuple[Any, ...]]:
    with session.cursor() as cursor:
        cursor.execute(query, arguments)
        return cursor.fetchall()
