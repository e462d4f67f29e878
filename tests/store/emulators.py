"""Emulators of Azure's and Google's object stores: `make test-engines` installs what can be had."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import BUCKET

PROGRAMS = Path(__file__).parents[2] / ".venv/emulators/bin"
# The account and the key of everybody's Azurite.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


def program(name: str) -> str:
    """The path of an emulator; skips the test where it couldn't be installed."""
    path = shutil.which(name, path=f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")
    if path is None:
        pytest.skip(
            f"{name} isn't installed: make nightly or make test-clouds, with Node.js and Go"
        )
    return path


@contextmanager
def azurite(folder: Path) -> Iterator[dict[str, str]]:
    """Runs an emulator of Azure Blob Storage with a container, and yields the variables for it."""
    from azure.storage.blob import BlobServiceClient

    port = free_port()
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{AZURITE_ACCOUNT};"
    )
    options = ("--silent", "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence")
    with running([program("azurite-blob"), "--blobPort", str(port), *options], port, folder):
        BlobServiceClient.from_connection_string(connection).create_container(BUCKET)
        section = "DESTINATION__FILESYSTEM__CREDENTIALS__AZURE_STORAGE_ACCOUNT"
        yield {
            f"{section}_NAME": AZURITE_ACCOUNT,
            f"{section}_KEY": AZURITE_KEY,
            # Where the account is, which isn't at Azure.
            "AZURE_STORAGE_CONNECTION_STRING": connection,
        }


@contextmanager
def fake_gcs(folder: Path) -> Iterator[dict[str, str]]:
    """Runs an emulator of Google Cloud Storage with a bucket, and yields the variables for it."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    options = ("-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory")
    shown = ("-public-host", f"127.0.0.1:{port}")
    with running([program("fake-gcs-server"), *options, *shown], port, folder), tokens() as issuer:
        request = urllib.request.Request(
            f"{endpoint}/storage/v1/b",
            data=json.dumps({"name": BUCKET}).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()
        account = folder / "account.json"
        account.write_text(json.dumps(service_account(issuer)))
        yield {
            "STORAGE_EMULATOR_HOST": endpoint,
            "GOOGLE_APPLICATION_CREDENTIALS": str(account),
            # Otherwise gcsfs asks Google by another protocol, which the emulator doesn't speak.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }


@contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            while not is_open(port):
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            yield
        finally:
            process.kill()
            process.wait()


def is_open(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def service_account(issuer: str) -> dict[str, str]:
    """A key file of a service account, as Google's console gives it out."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "1",
        "private_key": key.decode(),
        "client_email": "loader@project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": issuer,
        "auth_uri": issuer,
    }


class _Tokens(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.dumps({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


@contextmanager
def tokens() -> Iterator[str]:
    """Runs a server that gives everybody an access token, and yields its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Tokens) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()
