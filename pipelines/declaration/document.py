"""A YAML file as plain data, together with the place of each value in it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.errors import DeclarationError, Problem

YamlPath = tuple[str | int, ...]

# An alias costs a few bytes and can stand for thousands of nodes ("a billion laughs").
MAX_NODES = 100_000

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Place:
    """A line and column, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """The data of one YAML file; `keys` and `values` say where each key and value stands."""

    file: str
    data: Any
    keys: dict[YamlPath, Place]
    values: dict[YamlPath, Place]

    def place_of(self, path: YamlPath, *, value: bool = False) -> Place:
        """The place of a key (or of its value), or of the nearest parent that is in the file."""
        for length in range(len(path), -1, -1):
            part = path[:length]
            found = (self.values if value else self.keys).get(part) or self.values.get(part)
            if found:
                return found
        return Place(1, 1)

    def problem(self, path: YamlPath, message: str, *, value: bool = False) -> Problem:
        """A problem at the key (or the value) that stands at this path."""
        place = self.place_of(path, value=value)
        return Problem(self.file, place.line, place.column, message)

    def where(self, path: YamlPath) -> str:
        """`file:line` of the key at this path."""
        return f"{self.file}:{self.place_of(path).line}"


def read_document(path: Path, display_name: str) -> Document:
    """Reads a YAML file.

    Raises:
        DeclarationError: the file is missing or isn't YAML, a key is written twice, or aliases
            make it explode. All duplicate keys are reported at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DeclarationError(
            f"there is no {display_name} in {path.parent}",
            do="go to the project's folder, name it with --project DIR, "
            'or start a project here: lakefeed init --connection "$URL"',
        ) from None
    except UnicodeDecodeError as error:
        raise DeclarationError(f"not UTF-8 text ({error.reason})", where=display_name) from None
    return parse_document(text, display_name)


def parse_document(text: str, file: str) -> Document:
    """Parses YAML text; `file` is the name that problems are reported under."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise DeclarationError(problems=[_syntax_problem(error, file)]) from None
    except yaml.YAMLError as error:
        raise DeclarationError(f"not valid YAML: {error}", where=file) from None
    builder = _Builder(file)
    data = builder.build(root, ()) if root is not None else None
    if builder.problems:
        raise DeclarationError(problems=builder.problems)
    return Document(file, data, builder.keys, builder.values)


def _syntax_problem(error: yaml.MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Problem(file, line, column, f"not valid YAML: {error.problem or error.context}")


class _Builder:
    """Turns a tree of YAML nodes into data, noting places, duplicate keys and runaway aliases."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.keys: dict[YamlPath, Place] = {}
        self.values: dict[YamlPath, Place] = {}
        self.problems: list[Problem] = []
        self._nodes = 0
        self._open: set[int] = set()
        self._scalars = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node, path: YamlPath) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or id(node) in self._open:
            raise DeclarationError(
                problems=[
                    self._problem(node, f"anchors make this file longer than {MAX_NODES} values")
                ]
            )
        self.values[path] = _place(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._open.add(id(node))
        built = (
            self._mapping(node, path)
            if isinstance(node, yaml.MappingNode)
            else [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        )
        self._open.discard(id(node))
        return built

    def _mapping(self, node: yaml.MappingNode, path: YamlPath) -> dict[Any, Any]:
        data: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None:
                continue
            if key in data:
                first = self.keys[(*path, key)]
                self.problems.append(
                    self._problem(key_node, f"`{key}` is already set in line {first.line}")
                )
                continue
            self.keys[(*path, key)] = _place(key_node)
            data[key] = self.build(value_node, (*path, key))
        return data

    def _key(self, node: yaml.Node) -> str | None:
        if node.tag == "tag:yaml.org,2002:merge":
            self.problems.append(
                self._problem(node, "merge keys (`<<`) aren't read; use `defaults` instead")
            )
            return None
        if not isinstance(node, yaml.ScalarNode) or not isinstance(node.value, Hashable):
            self.problems.append(self._problem(node, "a key must be a plain word"))
            return None
        return str(node.value)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            reason = getattr(error, "problem", None) or error
            self.problems.append(self._problem(node, f"can't read `{node.value}`: {reason}"))
            return None

    def _problem(self, node: yaml.Node, message: str) -> Problem:
        place = _place(node)
        return Problem(self.file, place.line, place.column, message)


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
