"""What each of our transactions sets, whatever the role, the database or the server would have.

The list was found by a test that walks all settings of a server (tests/faults/test_settings.py).
"""

from __future__ import annotations

# Who waits longer for a lock stands in the way of all who come after.
LOCK_TIMEOUT_SECONDS = 60

# Held by each of our transactions, so that no load takes another's reading for an application's
# writing. Not told by the application name: a pooler's sessions keep the name of who came before.
OURS = 7_233_181_046_921

_SETTINGS = {
    # UTC and these styles make text exact; quoted names of types would be other names.
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "quote_all_identifiers": "off",
    # Our literals double quotes, and leave backslashes alone.
    "standard_conforming_strings": "on",
    # Any other value leaves rows out, and says nothing. With `row_security` off, a policy fails.
    "row_security": "off",
    "gin_fuzzy_search_limit": "0",
    "transform_null_equals": "off",
    # A read may take longer than an application's transaction.
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
    "exit_on_error": "off",
    # With much `work_mem` a larger one has recursive queries ask for more memory than there is.
    "recursive_worktable_factor": "10",
    # Else views can't be read.
    "restrict_nonsystem_relation_kind": "",
}
# What only a superuser may set: our remedies know the server's messages in English, and a damaged
# page has to fail.
_OF_SUPERUSERS = {
    "lc_messages": "C",
    "zero_damaged_pages": "off",
    "ignore_checksum_failure": "off",
}

# PostgreSQL's own path comes first, so that a name means the same whatever path the role has; the
# role's comes after it, for the functions that a `where` or a view calls.
_SEARCH_PATH = """concat_ws(
    ', ', 'pg_catalog, "$user", public', nullif(current_setting('search_path'), '')
)"""


def transaction_settings(
    *, statement_timeout_ms: int = 0, lock_timeout_ms: int | None = None
) -> str:
    """What each of our transactions begins with: read-only, in UTC, known as ours.

    For the transaction, not the session: behind a pooler in transaction mode each transaction may
    meet another session, which belongs to others afterwards. (tests/faults/test_pooler.py)

    Args:
        statement_timeout_ms: 0 for none.
        lock_timeout_ms: what is usual where None.
    """
    bounds = {
        "lock_timeout": str(lock_timeout_ms or LOCK_TIMEOUT_SECONDS * 1000),
        "statement_timeout": str(statement_timeout_ms),
    }
    return (
        "set transaction read only; "
        f"{_set(_SETTINGS | bounds)}; "
        f"{_set(_OF_SUPERUSERS)} and current_setting('is_superuser') = 'on'; "
        f"select set_config('search_path', {_SEARCH_PATH}, true); "
        f"select pg_advisory_xact_lock_shared({OURS})"
    )


def _set(settings: dict[str, str]) -> str:
    """Sets those of them that the server knows, until the transaction ends.

    `transaction_timeout` came with version 17, `restrict_nonsystem_relation_kind` with 17 and with
    later releases of 12 to 16.
    """
    wanted = ", ".join(f"('{name}', '{value}')" for name, value in settings.items())
    return (
        f"select set_config(name, value, true) from (values {wanted}) as wanted (name, value) "
        "where current_setting(name, true) is not null"
    )
