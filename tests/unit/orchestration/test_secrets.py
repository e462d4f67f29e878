"""The secrets of an Airflow stack: made once, strong enough, and for those alone who need them."""

from __future__ import annotations

import stat
import subprocess
import sys
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest

from lakefeed.orchestration.project.secrets import make_secrets

NAMES = ("airflow", "redis")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_secrets(tmp_path / "secrets", NAMES)
    return tmp_path / "secrets"


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_keys_are_as_long_as_airflow_asks_for(folder: Path) -> None:
    held = contents(folder)

    assert len(urlsafe_b64decode(held["fernet-key"])) == 32
    assert len(held["api-secret-key"]) >= 64
    assert len(held["jwt-secret"]) >= 64


def test_every_name_has_a_password_and_a_line_for_the_clients_of_postgres(folder: Path) -> None:
    held = contents(folder)

    assert len(held["airflow-password"]) >= 32
    assert held["pgpass"].splitlines() == [
        f"*:*:*:{name}:{held[f'{name}-password']}" for name in NAMES
    ]


def test_no_secret_is_like_another(folder: Path) -> None:
    values = contents(folder).values()

    assert len(set(values)) == len(values) == 6


def test_what_is_there_is_kept_and_what_is_missing_is_made(folder: Path) -> None:
    before = contents(folder)
    (folder / "jwt-secret").unlink()

    made = make_secrets(folder, [*NAMES, "shop"])
    after = contents(folder)

    assert made == ["jwt-secret", "shop-password"]
    assert {name for name in before if after[name] != before[name]} == {"jwt-secret", "pgpass"}
    assert after["pgpass"].startswith(before["pgpass"])


def test_secrets_are_for_their_owner_and_a_server_in_its_group_alone(folder: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert modes.pop("pgpass") == 0o600
    assert set(modes.values()) == {0o640}


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)

    make_secrets(tmp_path, NAMES)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o770


def test_the_command_names_what_it_made_and_shows_none_of_it(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "lakefeed.orchestration.project.secrets",
        str(tmp_path),
        "airflow",
    ]
    told = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)
    ]

    assert told == [
        "made fernet-key, api-secret-key, jwt-secret, airflow-password\n",
        "all secrets are there\n",
    ]
