"""The settings of each of Lakefeed's transactions, whatever the server, database or role defaults.

tests/faults/test_settings.py tries all settings of a server, which is how the list was found.
"""

from __future__ import annotations

from lakefeed.sql import literal, quote

# A session that waits longer for a lock blocks every session that asks for the table after it.
LOCK_TIMEOUT_SECONDS = 60

# The advisory lock of each of Lakefeed's transactions, by which loads recognise each other's
# sessions. The application name doesn't serve: a pooler's sessions keep their last client's name.
OURS = 7_233_181_046_921

_SETTINGS = {
    # UTC and these styles make values as text exact. Quoted, a type would have another name.
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "quote_all_identifiers": "off",
    # Lakefeed's literals double quotes and don't escape backslashes.
    "standard_conforming_strings": "on",
    # Other values silently leave out rows. With `row_security` off, a policy raises an error.
    "row_security": "off",
    "gin_fuzzy_search_limit": "0",
    "transform_null_equals": "off",
    # A read may take longer than an application's transaction is allowed to.
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
    "exit_on_error": "off",
    # With a large `work_mem`, a higher factor lets recursive queries ask for too much memory.
    "recursive_worktable_factor": "10",
    # Otherwise views can't be read.
    "restrict_nonsystem_relation_kind": "",
}
# Only superusers may set these. Messages are recognised in English, and damaged pages must fail.
_OF_SUPERUSERS = {
    "lc_messages": "C",
    "zero_damaged_pages": "off",
    "ignore_checksum_failure": "off",
}

# PostgreSQL's default path comes first, so that names mean the same for every role; the role's own
# path follows, for functions that a `where` or a view calls.
_SEARCH_PATH = """concat_ws(
    ', ', 'pg_catalog, "$user", public', nullif(current_setting('search_path'), '')
)"""


def transaction_settings(
    *,
    statement_timeout_ms: int = 0,
    lock_timeout_ms: int | None = None,
    application: str | None = None,
    first_schema: str | None = None,
) -> str:
    """The SQL that each of Lakefeed's transactions begins with: read-only, UTC, marked as ours.

    All settings are local to the transaction: behind a pooler in transaction mode, each transaction
    may get another server session, which others use afterwards (tests/faults/test_pooler.py).

    Args:
        statement_timeout_ms: 0 for no limit.
        lock_timeout_ms: None for `LOCK_TIMEOUT_SECONDS`.
        application: the transaction's application name; None for that of its session.
        first_schema: where names without a schema are looked up first; None for the usual path.
    """
    bounds = {
        "lock_timeout": str(lock_timeout_ms or LOCK_TIMEOUT_SECONDS * 1000),
        "statement_timeout": str(statement_timeout_ms),
    }
    if application is not None:
        bounds["application_name"] = application
    return (
        "set transaction read only; "
        f"{_set(_SETTINGS | bounds)}; "
        f"{_set(_OF_SUPERUSERS)} and current_setting('is_superuser') = 'on'; "
        f"select set_config('search_path', {_SEARCH_PATH}, true); "
        f"{look_up_first(first_schema) + '; ' if first_schema else ''}"
        f"select pg_advisory_xact_lock_shared({OURS})"
    )


def session_settings() -> str:
    """The SQL that sets all of these for a session that has no transactions: one of replication."""
    return (
        f"{_set(_SETTINGS, local=False)}; "
        f"{_set(_OF_SUPERUSERS, local=False)} and current_setting('is_superuser') = 'on'"
    )


def look_up_first(schema: str) -> str:
    """SQL that has names without a schema looked up in this one first, until the transaction ends.

    PostgreSQL's own names still come before.
    """
    path = f"pg_catalog, {quote(schema)}, "
    return (
        f"select set_config('search_path', {literal(path)} || current_setting('search_path'), true)"
    )


def _set(settings: dict[str, str], *, local: bool = True) -> str:
    """Sets, for the transaction or the session, those settings that the server's version has.

    `transaction_timeout` is new in PostgreSQL 17; `restrict_nonsystem_relation_kind` is new in 17
    and in minor releases of 12 to 16.
    """
    wanted = ", ".join(f"('{name}', {literal(value)})" for name, value in settings.items())
    return (
        f"select set_config(name, value, {str(local).lower()}) "
        f"from (values {wanted}) as wanted (name, value) "
        "where current_setting(name, true) is not null"
    )
