"""Keeps readers' rights when PUBLIC is swapped: a swap takes a schema's grants with it.

Rights on tables come with their clones (`copy grants`), and from `grants:` of dbt's models. Those
on the schema, and on what will be in it, are granted again on what becomes PUBLIC.
Source: https://docs.snowflake.com/en/sql-reference/sql/alter-schema
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lakefeed.transformation.targets.snowflake_names import quoted

Rows = Callable[[str], list[tuple[Any, ...]]]

_OWNERSHIP = "OWNERSHIP"


def copy_grants(rows: Rows, source: str, target: str) -> None:
    """Grants roles on one schema what they have on another; its own role keeps the ownership."""
    # created_on, privilege, granted_on, name, granted_to, grantee_name, …
    for _, privilege, _, _, to, grantee, *_ in rows(f"show grants on schema {quoted(source)}"):
        if privilege != _OWNERSHIP and to == "ROLE":
            rows(f"grant {privilege} on schema {quoted(target)} to role {_role(grantee)}")
    # created_on, privilege, grant_on, name, grant_to, grantee_name, …
    future = f"show future grants in schema {quoted(source)}"
    for _, privilege, kind, _, to, grantee, *_ in rows(future):
        if privilege != _OWNERSHIP and to == "ROLE":
            rows(
                f"grant {privilege} on future {kind.replace('_', ' ')}s "
                f"in schema {quoted(target)} to role {_role(grantee)}"
            )


def _role(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
