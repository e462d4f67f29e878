"""Writes YAML that reads back unchanged, whatever names it contains."""

from __future__ import annotations

import re
from typing import Any

import yaml

try:
    # libyaml, which PyYAML's wheels bring: five times as fast.
    from yaml import CSafeDumper as SafeDumper
except ImportError:
    from yaml import SafeDumper  # type: ignore[assignment]

# PyYAML reads these characters as line breaks and folds them into spaces.
_FOLDED = re.compile("[\x85\u2028\u2029]")


class _Dumper(SafeDumper):
    """Writes strings that contain such characters in double quotes, with escapes."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"' if _FOLDED.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(data: Any, *, width: int = 80) -> str:
    """A YAML document, with keys in the order of `data`."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width))


def yaml_name(name: str) -> str:
    """A name as a YAML scalar, quoted if YAML would read it as something else, as `on` or `1e3`."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and yaml.safe_load(name) == name
    if plain:
        return name
    quoted = yaml.safe_dump(name, default_style='"', allow_unicode=True, width=float("inf"))
    return str(quoted).rstrip("\n")
