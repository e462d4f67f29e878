"""What a file system refuses is told by name, in whichever words it comes, and nothing else is."""

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


def told(error: BaseException) -> str:
    found = storage_error(error)
    assert found is not None
    assert found.what
    assert found.do
    return str(found)


@pytest.mark.parametrize("name", NUMBERS)
def test_an_error_of_the_system_names_the_path_the_reason_and_the_remedy(name: str) -> None:
    number = getattr(errno, name)

    said = told(OSError(number, os.strerror(number), "/lake/data/raw/x"))

    assert said.startswith("/lake/data/raw/x: ")
    assert "[Errno" not in said
    assert "what was committed and published before is intact" in said


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "form",
    [
        'TransactionContext Error: Failed to commit: Could not write file "/lake/a b.wal": {}',
        'IO Error: Cannot open file "/lake/a b.wal": {}\nmore',
        "Runtime Error in model x\n  [Errno 7] {}: '/lake/a b.wal'",
    ],
)
def test_so_does_what_others_say_of_it(name: str, form: str) -> None:
    error = RuntimeError(form.format(os.strerror(getattr(errno, name))))

    assert told(error).startswith("/lake/a b.wal: ")


def test_the_cause_of_an_error_is_what_counts() -> None:
    wrapped = RuntimeError("a step failed")
    wrapped.__cause__ = PermissionError(errno.EACCES, "Permission denied", "/etc")

    assert told(wrapped).startswith("/etc: permission denied")


def test_of_two_paths_the_one_that_is_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")

    with pytest.raises(OSError) as raised:
        shutil.copyfile(tmp_path / "a", tmp_path / "missing" / "b")

    assert told(raised.value).startswith(f"{tmp_path}/missing/b: no such file or folder")


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
def test_what_is_no_fault_of_a_file_is_not_taken_for_one(error: Exception) -> None:
    assert storage_error(error) is None


def test_a_folder_of_another_user_says_whose_it_is_and_what_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dbt").mkdir()
    if os.geteuid() == 0:
        os.chown(tmp_path / "dbt", 1001, 1001)
    owner = (tmp_path / "dbt").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 4711)

    said = told(PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "dbt/logs/x")))

    assert f"{tmp_path}/dbt belongs to user {owner}, and this runs as user 4711" in said
    assert f"LAKEFEED_UID={owner} into .env" in said
    assert f"chown -R 4711 {tmp_path}/dbt" in said


def test_a_path_that_may_not_be_looked_at_is_named_by_the_folder_before_it(tmp_path: Path) -> None:
    # The system refuses to look at so long a name, to root as well.
    (tmp_path / "package").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "package" / ("x" * 300))

    said = told(PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "link/x")))

    assert f"{tmp_path}/package is this user's own" in said


def test_a_folder_that_can_be_made_and_written_to_is_left_as_it_is(tmp_path: Path) -> None:
    assert why_unwritable(tmp_path / "yet" / "to be made") is None
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leads_nowhere_is_named_with_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("/not/mounted")

    error = why_unwritable(tmp_path / "data" / "raw")

    assert str(error).startswith(f"{tmp_path}/data -> /not/mounted: no such file or folder")


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    assert "data: a file stands where a folder is needed" in str(
        why_unwritable(tmp_path / "data/x")
    )
