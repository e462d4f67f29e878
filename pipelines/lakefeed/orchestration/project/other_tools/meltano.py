"""Reads tap-postgres of a Meltano project: https://docs.meltano.com/guide/integration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.errors import DeclarationError
from lakefeed.orchestration.project.other_tools.carried import (
    Carried,
    Imported,
    Method,
    as_mapping,
    as_names,
    hides,
)

_TAP = "tap-postgres"
_METHODS: dict[str, Method] = {
    "FULL_TABLE": "whole",
    "INCREMENTAL": "cursor",
    "LOG_BASED": "log",
}
# How to connect, which `--connection` says.
_CONNECTION = (
    *("host", "port", "user", "password", "dbname", "database", "sqlalchemy_url", "dialect+driver"),
    *("ssl", "ssl_enable", "ssl_mode", "ssl_certificate_authority", "ssl_storage_directory"),
    *("ssl_client_certificate", "ssl_client_certificate_enable", "ssl_client_private_key"),
)
_CARRIED = ("default_replication_method", "filter_schemas", "stream_maps", "stream_options")
# Where the extractors are noted that the chosen one inherits from, and whose `select` it overrides.
_BASES = "lakefeed:bases"
_OTHERS = ("loaders", "transformers", "orchestrators", "utilities", "mappers")


def is_meltano(data: Any) -> bool:
    return isinstance(data, Mapping) and "extractors" in as_mapping(data.get("plugins"))


def tap_of(data: Any) -> dict[str, Any]:
    """The extractor for PostgreSQL, with what it inherits.

    Raises:
        DeclarationError: there is none, or there are several.
    """
    listed = as_mapping(data.get("plugins")).get("extractors")
    extractors = {str(one["name"]): as_mapping(one) for one in listed or () if "name" in one}
    taps = {name: one for name, one in extractors.items() if _is_tap(one, extractors)}
    # What others inherit from isn't run itself.
    inherited = {str(one.get("inherit_from")) for one in taps.values()}
    used = [one for name, one in taps.items() if name not in inherited]
    if len(used) != 1:
        names = ", ".join(str(one["name"]) for one in used)
        raise DeclarationError(
            f"the file has {len(used)} extractors for PostgreSQL: {names}" if used
            else "the file has no extractor named tap-postgres, nor one that inherits from it",
            do="pass a file that has one of them",
        )  # fmt: skip
    chosen = _with_inherited(used[0], extractors)
    bases = [name for name in taps if name in inherited and taps[name].get("select")]
    return {**chosen, _BASES: bases if used[0].get("select") else []}


def read_meltano(data: Any, tap: Mapping[str, Any], tables: Sequence[CatalogueTable]) -> Imported:
    """What this extractor of a project says about these tables."""
    config = as_mapping(tap.get("config"))
    schemas = as_names(config.get("filter_schemas"))
    known = [table for table in tables if not schemas or table.schema in schemas]
    rules = as_names(tap.get("select")) or ("*.*",)
    left = [*_left_of_project(data), *_left_of_config(config)]
    left += [
        (name, f"its `select`: `{tap.get('name')}`, which inherits from it, has its own")
        for name in tap.get(_BASES, ())
    ]
    found: dict[str, Carried] = {}
    for table in known:
        if _columns(table, rules):
            found[table.qualified] = _carried(table, tap, rules)
            left += [(table.qualified, text) for text in _remarks(table, tap)]
    for rule in rules:
        stream = _rule(rule.removeprefix("!"))[0]
        if not any(fnmatchcase(_stream(table), stream) for table in known):
            left.append((rule, "matches no table in the database"))
    return Imported(found, tuple(left))


def _is_tap(one: Mapping[str, Any], extractors: Mapping[str, Mapping[str, Any]]) -> bool:
    names = [str(one["name"])]
    while (parent := extractors.get(names[-1], {}).get("inherit_from")) and parent not in names:
        names.append(str(parent))
    return _TAP in names


def _with_inherited(
    one: Mapping[str, Any], extractors: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    parent = extractors.get(str(one.get("inherit_from")))
    if parent is None or parent is one:
        return dict(one)
    above = _with_inherited(parent, {n: e for n, e in extractors.items() if e is not one})
    both = {
        key: {**as_mapping(above.get(key)), **as_mapping(one.get(key))}
        for key in ("config", "metadata")
    }
    return {**above, **one, **both}


def _stream(table: CatalogueTable) -> str:
    return f"{table.schema}-{table.name}"


def _rule(rule: str) -> tuple[str, str]:
    """The patterns of a stream and of its attributes."""
    stream, _, attribute = rule.partition(".")
    return stream, attribute or "*"


def _columns(table: CatalogueTable, rules: Sequence[str]) -> list[str]:
    """The selected columns: of the rules, those that exclude take precedence."""

    def is_in(column: str, rules: Iterator[str]) -> bool:
        split = map(_rule, rules)
        return any(fnmatchcase(_stream(table), s) and fnmatchcase(column, a) for s, a in split)

    return [
        column.name
        for column in table.columns
        if is_in(column.name, (rule for rule in rules if not rule.startswith("!")))
        and not is_in(column.name, (rule[1:] for rule in rules if rule.startswith("!")))
    ]


def _carried(table: CatalogueTable, tap: Mapping[str, Any], rules: Sequence[str]) -> Carried:
    metadata, config = _metadata(table, tap), as_mapping(tap.get("config"))
    cursor = str(metadata.get("replication-key") or "")
    default = config.get("default_replication_method") or ("INCREMENTAL" if cursor else "")
    method = _METHODS.get(str(metadata.get("replication-method") or default or "FULL_TABLE"))
    key = metadata.get("table-key-properties") or metadata.get("view-key-properties")
    options = as_mapping(as_mapping(config.get("stream_options")).get(_stream(table)))
    conditions = _conditions(options.get("custom_where_clauses"))
    selected = _columns(table, rules)
    every = [column.name for column in table.columns]
    deselected = [n for n in every if as_mapping(metadata.get(n)).get("selected") is False]
    unselected = [name for name in every if name not in selected]
    return Carried(
        method=method or "unknown",
        cursor=cursor,
        primary_key=as_names(key),
        exclude=tuple(dict.fromkeys((*unselected, *deselected))),
        hidden=tuple(_hidden(table, tap)),
        where=" and ".join(f"({condition})" for condition in conditions),
        is_paused=metadata.get("selected") is False,
    )


def _conditions(value: object) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else as_names(value)


def _metadata(table: CatalogueTable, tap: Mapping[str, Any]) -> dict[str, Any]:
    """What is set for a table: patterns apply in their order, later ones over earlier ones."""
    merged: dict[str, Any] = {}
    for pattern, settings in as_mapping(tap.get("metadata")).items():
        if fnmatchcase(_stream(table), pattern):
            merged |= as_mapping(settings)
    return merged


def _maps(table: CatalogueTable, tap: Mapping[str, Any]) -> dict[str, Any]:
    maps = as_mapping(as_mapping(tap.get("config")).get("stream_maps"))
    return {
        column: how
        for pattern, of_stream in maps.items()
        if fnmatchcase(_stream(table), pattern)
        for column, how in as_mapping(of_stream).items()
    }


def _hidden(table: CatalogueTable, tap: Mapping[str, Any]) -> list[str]:
    return [name for name, how in _maps(table, tap).items() if _hides(how) and table.column(name)]


def _hides(how: object) -> bool:
    return how is None or hides(how)


def _remarks(table: CatalogueTable, tap: Mapping[str, Any]) -> Iterator[str]:
    for name, how in _maps(table, tap).items():
        if not (_hides(how) and table.column(name)):
            yield f"`{name}` of `stream_maps`"
    method = str(_metadata(table, tap).get("replication-method") or "")
    if method and method not in _METHODS:
        yield f"replication method `{method}`"


def _left_of_project(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    plugins = as_mapping(data.get("plugins"))
    yield from ((key, "this section") for key in _OTHERS if plugins.get(key))
    yield from ((key, "this section") for key in ("schedules", "jobs") if data.get(key))
    for environment in data.get("environments") or ():
        one = as_mapping(environment)
        if as_mapping(as_mapping(one.get("config")).get("plugins")).get("extractors"):
            yield f"environment {one.get('name')}", "its settings"


def _left_of_config(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in config:
        if key.partition(".")[0] not in (*_CONNECTION, *_CARRIED):
            yield "config", f"`{key}`"
