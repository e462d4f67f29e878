"""The wheel of this repository, and the Pythons of this machine to install it for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).with_name("uv")
SUPPORTED = ("3.11", "3.12", "3.13")


def uv(*arguments: str | Path, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Runs uv in a folder, without settings of this machine's."""
    return subprocess.run(
        [UV, *arguments, "--no-config"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def build(kind: str, source: Path, folder: Path) -> Path:
    """A distribution made from a source tree or an sdist, by the backend of this environment.

    Args:
        kind: `wheel` or `sdist`.
    """
    options = (f"--{kind}", "--no-build-isolation", "--python", sys.executable)
    built = uv("build", *options, "--out-dir", folder, source)
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return found


def pythons() -> dict[str, Path]:
    """The supported Pythons that are installed here, by version, the oldest first."""
    found = {version: next(_working(version), None) for version in SUPPORTED}
    return {version: path for version, path in found.items() if path}


def _working(version: str) -> Iterator[Path]:
    """A shim of pyenv's is on the path whether or not its version can be used."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    on_path = shutil.which(f"python{version}")
    candidates = [Path(on_path)] if on_path else []
    for path in [*candidates, *sorted(pyenv.glob(f"versions/{version}.*/bin/python"))]:
        asked = subprocess.run([path, "-c", ""], capture_output=True, check=False)
        if asked.returncode == 0:
            yield path
