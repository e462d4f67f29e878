"""Parses a YAML file into plain data, with the position of each key and value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lakefeed.declaration.document.syntax import code_of, problem_after, syntax_problem
from lakefeed.declaration.environment.references import (
    Lookup,
    has_reference,
    names_in,
    resolved,
    resolves_on_use,
    unset_in,
)
from lakefeed.declaration.environment.variables import unset_variable
from lakefeed.errors import DeclarationError, Problem

YamlPath = tuple[str | int, ...]

# Aliases of a few bytes can expand to billions of nodes (the "billion laughs" attack).
MAX_REPEATED = 100_000
# libyaml's composer recurses, and overflows the stack at some thousand levels: yaml/libyaml#107.
MAX_DEPTH = 50

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_TEXT = f"{_TAG}str"
_PLAIN = (_TEXT, f"{_TAG}map", f"{_TAG}seq")
_RESOLVER: Any = yaml.resolver.Resolver()


class Place(NamedTuple):
    """A line and a column, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """The data of one YAML file, with positions.

    Attributes:
        text: the file's text, from which all else follows.
        keys: the position of each key.
        values: the position of each value.
        words: each scalar as it is written: `on` where `data` has True.
        problems: mistakes that don't keep the rest of the file from being read.
        references: each scalar that refers to variables, as written: `${KEEP:-3}`. `data` and
            `words` have what it stands for. Secrets, which are resolved on use, aren't among them.
        variables: the values of the variables in `references` that are set.
        unset: the positions of values whose variables aren't set.
    """

    file: str
    text: str = field(repr=False)
    data: Any
    keys: dict[YamlPath, Place]
    values: dict[YamlPath, Place]
    words: dict[YamlPath, str]
    problems: tuple[Problem, ...]
    references: dict[YamlPath, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    unset: frozenset[tuple[int, int]] = frozenset()

    def place_of(self, path: YamlPath, *, value: bool = False) -> Place:
        """The position of a key or its value, or of the nearest parent that is in the file."""
        for length in range(len(path), -1, -1):
            part = path[:length]
            found = (self.values if value else self.keys).get(part) or self.values.get(part)
            if found:
                return found
        return Place(1, 1)

    def problem(self, path: YamlPath, message: str, *, value: bool = False) -> Problem:
        """A problem at the key or the value with this path."""
        place = self.place_of(path, value=value)
        return Problem(self.file, place.line, place.column, message)

    def where(self, path: YamlPath) -> str:
        """`file:line` of the key with this path."""
        return f"{self.file}:{self.place_of(path).line}"


def read_document(path: Path, display_name: str, variables: Lookup | None = None) -> Document:
    """Reads a YAML file; see `parse_document`.

    Raises:
        DeclarationError: the file is missing, can't be read, isn't valid YAML, or its aliases
            expand to too much.
    """
    return parse_document(read_text(path, display_name), display_name, variables)


def read_text(path: Path, display_name: str) -> str:
    """Reads a file of UTF-8 text.

    Raises:
        DeclarationError: the file is missing, can't be read or isn't UTF-8.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DeclarationError(
            f"no {display_name} in {path.parent}",
            do="change to the project folder, pass it with --project DIR, "
            'or create a project here: lakefeed init --connection "$URL"',
        ) from None
    except OSError as error:
        raise DeclarationError(
            f"can't read the file: {error.strerror}", where=display_name
        ) from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        message = f"found the byte 0x{content[error.start]:02x}, expected UTF-8 text"
        raise DeclarationError(problems=[problem_after(before, display_name, message)]) from None


def parse_document(text: str, file: str, variables: Lookup | None = None) -> Document:
    """Parses YAML text.

    Args:
        file: the name of the file in messages.
        variables: gives what stands for references in values; without it, they are plain text.

    Raises:
        DeclarationError: see `read_document`.
    """
    try:
        too_deep = _place_beyond_depth(text)
        root = None if too_deep else yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise DeclarationError(problems=[syntax_problem(error, text, file)]) from None
    except yaml.reader.ReaderError as error:
        message = f"not valid YAML: found the character U+{code_of(error.character):04X}"
        before = text[: error.position]
        raise DeclarationError(problems=[problem_after(before, file, message)]) from None
    if too_deep:
        message = f"nested deeper than {MAX_DEPTH} levels"
        raise DeclarationError(problems=[Problem(file, too_deep.line, too_deep.column, message)])
    builder = _Builder(file, variables)
    data = builder.build(root, ()) if root is not None else None
    return Document(
        file=file,
        text=text,
        data=data,
        keys=builder.keys,
        values=builder.values,
        words=builder.words,
        problems=tuple(builder.problems),
        references=builder.references,
        variables=builder.used,
        unset=frozenset(builder.unset),
    )


def tag_of(word: str) -> str:
    """The YAML tag of an unquoted word: `tag:yaml.org,2002:bool` for `on`."""
    return str(_RESOLVER.resolve(yaml.ScalarNode, word, (True, False)))


def _place_beyond_depth(text: str) -> Place | None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            assert event.start_mark
            return Place(event.start_mark.line + 1, event.start_mark.column + 1)
    return None


class _Builder:
    """Builds data from YAML nodes, recording positions, duplicate keys and runaway aliases."""

    def __init__(self, file: str, variables: Lookup | None) -> None:
        self.file = file
        self._variables = variables
        self.references: dict[YamlPath, str] = {}
        self.used: dict[str, str] = {}
        self.unset: set[tuple[int, int]] = set()
        self.keys: dict[YamlPath, Place] = {}
        self.values: dict[YamlPath, Place] = {}
        self.words: dict[YamlPath, str] = {}
        self.problems: list[Problem] = []
        self._repeated = 0
        self._built: set[int] = set()
        self._open: set[int] = set()
        self._scalars = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node, path: YamlPath) -> Any:
        self._check_aliases(node, path)
        self.values[path] = _place(node)
        self._check_tag(node)
        if isinstance(node, yaml.ScalarNode):
            node = self._resolved(node, path)
            self.words[path] = node.value
            return self._scalar(node)
        self._open.add(id(node))
        built = (
            self._mapping(node, path)
            if isinstance(node, yaml.MappingNode)
            else [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        )
        self._open.discard(id(node))
        return built

    def _check_aliases(self, node: yaml.Node, path: YamlPath) -> None:
        self._repeated += id(node) in self._built
        self._built.add(id(node))
        if self._repeated > MAX_REPEATED:
            self._stop(node, f"aliases (`*name`) expand to more than {MAX_REPEATED:,} values")
        if id(node) in self._open:
            self._stop(node, "an alias refers to the value that contains it")
        if len(path) > MAX_DEPTH:
            self._stop(node, f"aliases nest deeper than {MAX_DEPTH} levels")

    def _stop(self, node: yaml.Node, message: str) -> None:
        raise DeclarationError(problems=[*self.problems, self._problem(node, message)])

    def _check_tag(self, node: yaml.Node) -> None:
        is_plain = node.tag in _PLAIN or (
            isinstance(node, yaml.ScalarNode) and node.tag == tag_of(node.value)
        )
        if not is_plain:
            tag = node.tag.replace(_TAG, "!!")
            message = f"found the tag `{tag}`, expected a plain value: tags aren't supported"
            self.problems.append(self._problem(node, message))

    def _mapping(self, node: yaml.MappingNode, path: YamlPath) -> dict[Any, Any]:
        data: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None:
                continue
            if key in data:
                first = self.keys[(*path, key)]
                self.problems.append(
                    self._problem(key_node, f"`{key}` is already set on line {first.line}")
                )
                continue
            self.keys[(*path, key)] = _place(key_node)
            data[key] = self.build(value_node, (*path, key))
        return data

    def _key(self, node: yaml.Node) -> str | None:
        if node.tag == f"{_TAG}merge":
            message = "merge keys (`<<`) aren't supported; put shared settings in `defaults`"
            self.problems.append(self._problem(node, message))
            return None
        if not isinstance(node, yaml.ScalarNode):
            found = "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
            message = f"found {found} as a key, expected a name"
            self.problems.append(self._problem(node, message))
            return None
        return str(node.value)

    def _resolved(self, node: yaml.ScalarNode, path: YamlPath) -> yaml.ScalarNode:
        """The node with values instead of references, typed by the result, in quotes or not."""
        if self._variables is None or not has_reference(node.value) or resolves_on_use(path):
            return node
        variables = self._variables()
        if unset := unset_in(node.value, variables):
            self.unset.add(_place(node))
            self.problems.append(self._problem(node, unset_variable(unset[0])))
            return node
        self.references[path] = node.value
        self.used |= {n: value for n in names_in(node.value) if (value := variables.get(n))}
        text = resolved(node.value, variables)
        return yaml.ScalarNode(tag_of(text), text, node.start_mark, node.end_mark)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag == _TEXT:
            return node.value
        # YAML 1.1 reads 1:30 as the base-60 number 90; people and YAML 1.2 read it as text.
        if ":" in node.value and node.tag in (f"{_TAG}int", f"{_TAG}float"):
            return node.value
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError, AttributeError):
            # An impossible date such as 2026-13-01 stays a string; a setting that needs a date
            # refuses it, with the setting's name.
            return node.value

    def _problem(self, node: yaml.Node, message: str) -> Problem:
        place = _place(node)
        return Problem(self.file, place.line, place.column, message)


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
