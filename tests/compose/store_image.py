"""The image of the object store, or one with the same program where it can't be pulled."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lakefeed.demo.compose import read_compose
from tests.compose.stack import BIN, REPOSITORY, checked

# As in SeaweedFS's own image: a user with this id, who owns /data, and a `wget`, which here can ask
# for the store's health only.
_DOCKERFILE = """
FROM {base}
USER root
COPY weed wget /usr/bin/
RUN /usr/sbin/useradd --uid 1000 seaweed && install --directory --owner seaweed /data
USER seaweed
"""
_WGET = r"""#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/8333
printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3
head --lines 1 <&3 | grep --quiet ' 200 '
"""


@contextmanager
def image_of_store() -> Iterator[None]:
    """Pulls the image; where it can't be pulled, a stand-in has its name meanwhile."""
    files = ("docker-compose.yml", "docker-compose.lake.yml")
    services = read_compose(REPOSITORY, files)["services"]
    image = services["store"]["image"]
    if subprocess.run(["docker", "pull", image], capture_output=True, check=False).returncode == 0:
        yield
        return
    with TemporaryDirectory() as folder:
        _build(Path(folder), image, base=services["catalogue"]["image"])
    yield
    checked("docker", "image", "rm", image)


def _build(folder: Path, image: str, base: str) -> None:
    (folder / "Dockerfile").write_text(_DOCKERFILE.format(base=base), encoding="utf-8")
    shutil.copy(BIN / "weed", folder)
    (folder / "wget").write_text(_WGET, encoding="utf-8")
    (folder / "wget").chmod(0o755)
    checked("docker", "build", "--tag", image, str(folder))
