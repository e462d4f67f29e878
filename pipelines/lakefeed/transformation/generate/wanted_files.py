"""The generated files that a project should have, rendered only if they may have changed.

    data/generated.json   what the files were rendered from, and the digest of each

Rendering the YAML of five hundred tables takes longer than reading all files and comparing them.
The digests are used only while everything that the texts follow from is the same: declaration,
catalogue, what paused tables have, the project's paths, and the code that renders them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import yaml

from lakefeed import __version__
from lakefeed.declaration.catalogue import catalogue_data
from lakefeed.declaration.project import Project
from lakefeed.textfile import replace_text
from lakefeed.transformation.generate.history_models import history_files
from lakefeed.transformation.generate.paused_tables import KeptFiles, kept_files
from lakefeed.transformation.generate.staging_models import generated_files, profile

_FILE = "generated.json"


class WantedFiles:
    """The generated files of a project, by path below `dbt/`: their digests and their texts."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._kept = kept_files(project)
        self._inputs = _fingerprint(project, self._kept)
        self._remembered = _read(project, self._inputs)

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """The digest of each file's text (see `digest_of`), by path."""
        if self._remembered is not None:
            return self._remembered
        return {name: digest_of(text) for name, text in self._texts.items()}

    def text(self, name: str) -> str:
        """The text of one file. The first call renders all."""
        return self._texts[name]

    def remember(self) -> None:
        """Keeps the digests for later runs."""
        if self._remembered is None:
            kept = json.dumps({"inputs": self._inputs, "files": self.digests})
            replace_text(self._project.data / _FILE, kept, durable=False)

    @cached_property
    def _texts(self) -> dict[str, str]:
        return self._kept.within(generated_files(self._project) | history_files(self._project))


def digest_of(text: str) -> str:
    """A digest that other texts don't have."""
    return hashlib.sha256(text.encode()).hexdigest()


def _read(project: Project, inputs: str) -> dict[str, str] | None:
    """The digests, if they are those of files rendered from these inputs."""
    try:
        kept = json.loads((project.data / _FILE).read_text(encoding="utf-8"))
        return dict(kept["files"]) if kept["inputs"] == inputs else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _fingerprint(project: Project, kept: KeptFiles) -> str:
    """A digest of everything that the files follow from."""
    document = project.declared.document
    inputs = [
        _code(),
        [str(project.root), str(project.dbt.resolve())],
        profile(project),
        [document.text, *(document.words[path] for path in document.references)],
        catalogue_data(project.catalogue),
        [kept.models, kept.entries],
    ]
    return digest_of(json.dumps(inputs, default=str))


def _code() -> list[object]:
    """What identifies the code, also while it is being edited."""
    package = Path(str(files("lakefeed")))
    modules = [
        (str(path.relative_to(package)), path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted(package.rglob("*.py"))
    ]
    return [__version__, yaml.__version__, yaml.__with_libyaml__, modules]
