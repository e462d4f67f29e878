"""The note of a rollback, in the lake's catalogue, where every machine reads it.

It is no table of the lake: to open one costs each run a quarter of a second.
"""

from __future__ import annotations

from contextlib import closing

from psycopg2 import Error as PgError

from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.sessions import connect, open_session, refusal

_TABLE = "public.lakefeed_rollback"


def read_note(catalogue: Connection) -> str | None:
    """The note; None if there is none.

    Raises:
        SourceUnreachable: the catalogue can't be reached.
    """
    with connect(catalogue, "lakefeed") as session, session.cursor() as cursor:
        cursor.execute("select to_regclass(%s) is not null", [_TABLE])
        if cursor.fetchall() == [(False,)]:
            return None
        cursor.execute(f"select note from {_TABLE}")
        row = cursor.fetchone()
    return str(row[0]) if row else None


def write_note(catalogue: Connection, note: str | None) -> None:
    """Replaces the note, or removes it.

    Raises:
        SourceUnreachable: the catalogue can't be reached.
        LakefeedError: it refuses.
    """
    with closing(open_session(catalogue, "lakefeed")) as session:
        try:
            with session.cursor() as cursor:
                cursor.execute(f"create table if not exists {_TABLE} (note text not null)")
                cursor.execute(f"delete from {_TABLE}")
                if note is not None:
                    cursor.execute(f"insert into {_TABLE} values (%s)", [note])
            session.commit()
        except PgError as error:
            raise refusal(catalogue, error) from None
