"""Creates the secrets of an Airflow stack at its first start, in a folder its services share.

python -m lakefeed.orchestration.project.secrets FOLDER NAME...
"""

from __future__ import annotations

import secrets
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from pathlib import Path

_KEYS: dict[str, Callable[[], str]] = {
    "fernet-key": lambda: urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "api-secret-key": lambda: secrets.token_hex(64),
    # Airflow signs with HS512, whose key must have at least 64 bytes (RFC 7518, section 3.2).
    "jwt-secret": lambda: secrets.token_hex(64),
}
_PASSWORD = "-password"
_PGPASS = "pgpass"
_AWS = "aws-credentials"
# The name whose password is the secret key of an object store, and which is also the key's id.
_STORE = "store"

# A server that runs as another user reads its password through the folder's group.
_OWNER_AND_GROUP = 0o640
# libpq ignores a password file that others can read
# (https://www.postgresql.org/docs/current/libpq-pgpass.html).
_OWNER = 0o600


def make_secrets(folder: Path, names: Sequence[str]) -> list[str]:
    """Creates Airflow's keys and a password for each name, unless they exist; returns new ones.

    Side effects: creates `folder`, accessible to its owner only; rewrites `pgpass`, from which
    PostgreSQL's clients read the passwords, and `aws-credentials`, from which those of S3 read the
    key of `store`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = _KEYS | {f"{name}{_PASSWORD}": lambda: secrets.token_hex(32) for name in names}
    made = [name for name in wanted if not (folder / name).exists()]
    for name in made:
        _write(folder / name, wanted[name](), _OWNER_AND_GROUP)
    passwords = sorted(folder.glob(f"*{_PASSWORD}"))
    lines = (f"*:*:*:{p.name.removesuffix(_PASSWORD)}:{p.read_text()}\n" for p in passwords)
    _write(folder / _PGPASS, "".join(lines), _OWNER)
    if (key := folder / f"{_STORE}{_PASSWORD}").exists():
        _write(folder / _AWS, _profile(key.read_text()), _OWNER)
    return made


def _profile(key: str) -> str:
    return f"[default]\naws_access_key_id = {_STORE}\naws_secret_access_key = {key}\n"


def _write(path: Path, text: str, mode: int) -> None:
    """Writes atomically: a secret that exists counts as complete and is never replaced."""
    beside = path.with_name(f".{path.name}")
    beside.unlink(missing_ok=True)
    beside.touch(mode=_OWNER)
    beside.write_text(text, encoding="ascii")
    beside.chmod(mode)
    beside.replace(path)


def main(folder: str, *names: str) -> None:
    made = make_secrets(Path(folder), names)
    sys.stdout.write(f"created {', '.join(made)}\n" if made else "all secrets already exist\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
