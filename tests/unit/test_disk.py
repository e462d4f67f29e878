"""File system errors are reported with path, reason and remedy, whichever library raised them."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import duckdb
import pytest

from lakefeed.disk import storage_error, why_unwritable

NUMBERS = (
    *("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "ENOENT", "EISDIR", "ENOTDIR", "EEXIST"),
    *(
        "ENOLCK",
        "EFBIG",
        "EMFILE",
        "ENFILE",
        "ELOOP",
        "EBUSY",
        "EXDEV",
        "EIO",
        "ENAMETOOLONG",
        "ESTALE",
    ),
)


def message_of(error: BaseException) -> str:
    found = storage_error(error)
    assert found is not None
    assert found.what
    assert found.do
    return str(found)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_system_error_names_the_path_the_reason_and_the_remedy(name: str) -> None:
    number = getattr(errno, name)

    message = message_of(OSError(number, os.strerror(number), "/lake/data/raw/x"))

    assert message.startswith("/lake/data/raw/x: ")
    assert "[Errno" not in message
    assert "committed loads and the published warehouse are intact" in message


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "form",
    [
        'TransactionContext Error: Failed to commit: Could not write file "/lake/a b.wal": {}',
        'IO Error: Cannot open file "/lake/a b.wal": {}\nmore',
        "Runtime Error in model x\n  [Errno 7] {}: '/lake/a b.wal'",
    ],
)
def test_a_system_error_quoted_by_duckdb_or_dbt_names_the_path(name: str, form: str) -> None:
    error = RuntimeError(form.format(os.strerror(getattr(errno, name))))

    assert message_of(error).startswith("/lake/a b.wal: ")


def test_a_system_error_that_caused_another_error_is_reported() -> None:
    wrapped = RuntimeError("a step failed")
    wrapped.__cause__ = PermissionError(errno.EACCES, "Permission denied", "/etc")

    assert message_of(wrapped).startswith("/etc: permission denied")


def test_a_failed_copy_names_the_target(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")

    with pytest.raises(OSError) as raised:
        shutil.copyfile(tmp_path / "a", tmp_path / "missing" / "b")

    assert message_of(raised.value).startswith(f"{tmp_path}/missing/b: no such file or folder")


@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        RuntimeError(
            'connection to server on socket "/tmp/.s.PGSQL.5432" failed: No such file or directory'
        ),
        duckdb.IOException("IO Error: Corrupt database file: computed checksum 1"),
        PermissionError("Access Denied"),
        ValueError("Is a directory"),
    ],
    ids=repr,
)
def test_an_error_that_no_file_caused_is_not_a_storage_error(error: Exception) -> None:
    assert storage_error(error) is None


def test_a_permission_error_names_the_owner_of_the_folder_and_the_commands_that_fix_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dbt").mkdir()
    if os.geteuid() == 0:
        os.chown(tmp_path / "dbt", 1001, 1001)
    owner = (tmp_path / "dbt").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 4711)

    message = message_of(
        PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "dbt/logs/x"))
    )

    assert f"{tmp_path}/dbt belongs to user {owner}, but Lakefeed runs as user 4711" in message
    assert f"set LAKEFEED_UID={owner} in .env" in message
    assert f"chown -R 4711 {tmp_path}/dbt" in message


def test_a_path_that_may_not_be_read_is_named_by_its_nearest_readable_parent(
    tmp_path: Path,
) -> None:
    # The system refuses to look at so long a name, to root as well.
    (tmp_path / "package").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "package" / ("x" * 300))

    message = message_of(
        PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "link/x"))
    )

    assert f"you own {tmp_path}/package" in message


def test_checking_that_a_folder_can_be_created_creates_nothing(tmp_path: Path) -> None:
    assert why_unwritable(tmp_path / "yet" / "to be made") is None
    assert list(tmp_path.iterdir()) == []


def test_a_broken_symbolic_link_is_named_with_its_target(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("/not/mounted")

    error = why_unwritable(tmp_path / "data" / "raw")

    assert str(error).startswith(f"{tmp_path}/data -> /not/mounted: no such file or folder")


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    assert "data: found a file where a folder is expected" in str(
        why_unwritable(tmp_path / "data/x")
    )
