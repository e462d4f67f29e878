"""A naming convention for dlt that keeps the source's table and column names unchanged.

dlt's own `direct` convention strips surrounding spaces and replaces quotes and line breaks with
`_`, so that two columns may end up with one name, and dlt rewrites every file with a renamed
column.

dlt stores this module's name in every schema. Before 0.2 it was `pipelines.loading.naming`, which
stays an alias so that lakes made by those versions can still be loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import ClassVar

from dlt.common.normalizers.naming.naming import NamingConvention as BaseNamingConvention


class NamingConvention(BaseNamingConvention):
    """Leaves every name as it is. dlt finds it by this module's name (`schema.naming`)."""

    # The only character that PostgreSQL doesn't allow in a name.
    PATH_SEPARATOR: ClassVar[str] = "\0"

    @property
    def is_case_sensitive(self) -> bool:
        return True

    def normalize_identifier(self, identifier: str) -> str:
        return identifier

    def break_path(self, path: str) -> Sequence[str]:
        return path.split(self.PATH_SEPARATOR)


sys.modules.setdefault("pipelines.loading.naming", sys.modules[__name__])
