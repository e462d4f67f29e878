"""YAML that is read back as what was written, whatever names are in it."""

from __future__ import annotations

import re
from typing import Any

import yaml

# PyYAML takes these for line breaks, which reading folds into spaces.
_FOLDED = re.compile("[\x85\u2028\u2029]")


class _Dumper(yaml.SafeDumper):
    """Writes texts with such characters in double quotes, where they are escaped."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"' if _FOLDED.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(data: Any, *, width: int = 80) -> str:
    """A whole document, its keys in the order that they have."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width))


def yaml_name(name: str) -> str:
    """A name as it stands in a line of YAML: `on`, `null` and `1e3` are no names to YAML."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and yaml.safe_load(name) == name
    if plain:
        return name
    quoted = yaml.safe_dump(name, default_style='"', allow_unicode=True, width=float("inf"))
    return str(quoted).rstrip("\n")
