"""A standby that follows a server of the tests."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import Database


@contextmanager
def standby_of(server: Any, **settings: str) -> Iterator[Database]:
    """A standby with its data beside those of the server, and its database `postgres`.

    Args:
        server: as the wheel with the server gives it.
        settings: of the standby alone.
    """
    folder = Path(server.pgdata).with_name("standby")
    primary = Database(server.get_uri())
    owner: dict[str, Any] = {"user": server.system_user} if server.system_user else {}
    tool = Path(server.bin_path)
    follow = ["-h", primary.url.partition("host=")[2], "-U", "postgres", "-D", str(folder)]
    Path(server.pgdata).parent.chmod(0o777)
    subprocess.run(
        [tool / "pg_basebackup", *follow, "-R", "-X", "stream", "--checkpoint=fast"],
        check=True, capture_output=True, cwd="/", **owner,
    )  # fmt: skip
    with (folder / "postgresql.auto.conf").open("a", encoding="utf-8") as conf:
        conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    options = f"-k {folder} -h '' -p 5433"
    control = [tool / "pg_ctl", "-w", "-D", str(folder)]
    subprocess.run(
        [*control, "-o", options, "-l", str(folder / "log"), "start"],
        check=True, stdout=subprocess.DEVNULL, cwd="/", **owner,
    )  # fmt: skip
    try:
        yield Database(f"postgresql://postgres:@/postgres?host={folder}&port=5433")
    finally:
        subprocess.run([*control, "stop"], check=True, capture_output=True, cwd="/", **owner)


def catch_up(primary: Database, standby: Database) -> None:
    """Returns once the standby has all that the primary has written."""
    written = primary.rows("select pg_current_wal_lsn()::text")[0][0]
    caught_up = f"select pg_last_wal_replay_lsn() >= '{written}'"
    while standby.rows(caught_up) != [(True,)]:
        time.sleep(0.05)
