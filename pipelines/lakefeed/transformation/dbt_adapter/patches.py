"""Replaces slow functions of dbt and its libraries, for this process, with the same results.

- dbt writes its artifacts by `json.dump`, which encodes in Python what `json.dumps` encodes in C.
- agate builds a date parser with all its patterns for each type of each query result.
- dbt finds the module that a behavior flag belongs to by `inspect.getmodule`, which looks at all
  modules of the process.
- dbt writes its manifest before a build, and again after it.
- To summarize its graph, dbt converts all nodes to dictionaries, twice, only for their types.
- For each selected name, dbt takes the names of all nodes apart.

If dbt stops calling these functions, builds are as slow as without the patches but still correct
(tests/unit/transformation/test_dbt_patches.py). Remove a patch once dbt is as fast by itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from dbt.compilation import Linker
    from dbt.contracts.graph.manifest import Manifest

_JSON = "json"
_CONSTANTS = "Constants"
_SOURCE = "_default_source"
_WRITE = "write_manifest"
_PARSED = "parse_manifest"
_SUMMARY = "get_graph_summary"
_MATCHES = "node_is_match"
# In a selector, these separate the parts of a name or stand for others.
_NOT_PLAIN = frozenset(".*?[]")

_builds: list[None] = []


def speed_up_dbt() -> None:
    """Patches dbt's modules; does nothing the second time."""
    import parsedatetime  # type: ignore[import-untyped]
    from dbt.compilation import Linker
    from dbt.graph.selector_methods import QualifiedNameSelectorMethod
    from dbt.parser import manifest
    from dbt_common import behavior_flags
    from dbt_common.clients import system

    if isinstance(getattr(system, _JSON), SimpleNamespace):
        return
    setattr(system, _JSON, SimpleNamespace(**{**vars(json), "dump": _dump}))
    setattr(manifest, _WRITE, _written_once(getattr(manifest, _WRITE)))
    setattr(parsedatetime, _CONSTANTS, lru_cache(getattr(parsedatetime, _CONSTANTS)))
    setattr(Linker, _SUMMARY, _graph_summary)
    by_name = QualifiedNameSelectorMethod
    setattr(by_name, _MATCHES, _matching_what_it_contains(getattr(by_name, _MATCHES)))
    setattr(behavior_flags.BehaviorFlagRendered, _SOURCE, staticmethod(_calling_module))


@contextmanager
def manifest_written_once() -> Iterator[None]:
    """Keeps dbt, for the duration of a build, from writing a manifest that it will replace.

    The manifest of five hundred models takes a second to write. After a build that never began, the
    one of the build before stays. Works once `speed_up_dbt` was called.
    """
    _builds.append(None)
    try:
        yield
    finally:
        _builds.pop()


def _written_once(write: Callable[..., None]) -> Callable[..., None]:
    """The function that writes the manifest, which does nothing where a build has parsed it.

    It stays in place after the build: dbt's modules take it when they are first imported.
    """

    def write_unless_parsed_for_build(*arguments: Any, **options: Any) -> None:
        if not (_builds and sys._getframe(1).f_code.co_name == _PARSED):
            write(*arguments, **options)

    return write_unless_parsed_for_build


def _dump(data: object, file: TextIO, **options: Any) -> None:
    file.write(json.dumps(data, **options))


def _calling_module() -> str:
    """The name of the first module on the stack that isn't this one or dbt's own of flags."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals["__name__"] in (__name__, "dbt_common.behavior_flags"):
        frame = frame.f_back
    return str(frame.f_globals["__name__"])


def _graph_summary(linker: Linker, manifest: Manifest) -> dict[int, dict[str, Any]]:
    """Name, type and successors of each node, by its number."""
    graph = linker.graph
    numbers = {name: number for number, name in enumerate(graph)}
    summary: dict[int, dict[str, Any]] = {}
    for name, number in numbers.items():
        summary[number] = {"name": name, "type": str(manifest.expect(name).resource_type)}
        if successors := [numbers[one] for one in graph.successors(name)]:
            summary[number]["succ"] = successors
    return summary


def _matching_what_it_contains(matches: Callable[..., bool]) -> Callable[..., bool]:
    """The function that matches a node's qualified name, which is asked only if it may match.

    A plain name matches a whole part of the qualified name, so some part contains it. Of versioned
    models, it may join two parts.
    """

    def may_match(method: object, selector: str, parts: list[str], is_versioned: bool) -> bool:
        is_plain = not is_versioned and _NOT_PLAIN.isdisjoint(selector)
        if is_plain and not any(selector in part for part in parts):
            return False
        return matches(method, selector, parts, is_versioned)

    return may_match
