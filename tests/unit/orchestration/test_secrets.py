"""The secrets of an Airflow stack: created once, strong, and readable only where needed."""

from __future__ import annotations

import stat
import subprocess
import sys
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from botocore.session import Session

from lakefeed.orchestration.project.secrets import make_secrets

NAMES = ("airflow", "redis")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_secrets(tmp_path / "secrets", NAMES)
    return tmp_path / "secrets"


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_keys_are_as_long_as_airflow_requires(folder: Path) -> None:
    secrets = contents(folder)

    assert len(urlsafe_b64decode(secrets["fernet-key"])) == 32
    assert len(secrets["api-secret-key"]) >= 64
    assert len(secrets["jwt-secret"]) >= 64


def test_every_name_has_a_password_and_a_line_in_pgpass(folder: Path) -> None:
    secrets = contents(folder)

    assert len(secrets["airflow-password"]) >= 32
    assert secrets["pgpass"].splitlines() == [
        f"*:*:*:{name}:{secrets[f'{name}-password']}" for name in NAMES
    ]


def test_clients_of_s3_find_the_key_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_secrets(tmp_path, ["store"])
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))

    keys = Session().get_credentials()

    assert (keys.access_key, keys.secret_key) == ("store", contents(tmp_path)["store-password"])


def test_all_secrets_differ(folder: Path) -> None:
    values = contents(folder).values()

    assert len(set(values)) == len(values) == 6


def test_existing_secrets_are_kept_and_missing_ones_created(folder: Path) -> None:
    before = contents(folder)
    (folder / "jwt-secret").unlink()

    made = make_secrets(folder, [*NAMES, "shop"])
    after = contents(folder)

    assert made == ["jwt-secret", "shop-password"]
    assert {name for name in before if after[name] != before[name]} == {"jwt-secret", "pgpass"}
    assert after["pgpass"].startswith(before["pgpass"])


def test_only_the_owner_and_its_group_can_read_secrets(folder: Path) -> None:
    make_secrets(folder, ["store"])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (modes.pop("pgpass"), modes.pop("aws-credentials")) == (0o600, 0o600)
    assert set(modes.values()) == {0o640}


def test_an_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)

    make_secrets(tmp_path, NAMES)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o770


def test_the_command_names_the_secrets_it_created_without_showing_them(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "lakefeed.orchestration.project.secrets",
        str(tmp_path),
        "airflow",
    ]
    outputs = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)
    ]

    assert outputs == [
        "created fernet-key, api-secret-key, jwt-secret, airflow-password\n",
        "all secrets already exist\n",
    ]
