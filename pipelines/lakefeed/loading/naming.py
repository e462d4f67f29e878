"""dlt's names for tables and columns: the source's own, to the last character.

dlt's `direct` strips space around a name and writes `_` for quotes and line breaks, so that two
columns may become one; and a file whose columns it renames it also rewrites.

dlt writes this module's name into every schema. Until 0.2 it was `pipelines.loading.naming`, so
that name still leads here: a lake outlives the version that made it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import ClassVar

from dlt.common.normalizers.naming.naming import NamingConvention as BaseNamingConvention


class NamingConvention(BaseNamingConvention):
    """Changes nothing. dlt finds it by this module's name (`schema.naming`)."""

    # The one character that no name in PostgreSQL can hold.
    PATH_SEPARATOR: ClassVar[str] = "\0"

    @property
    def is_case_sensitive(self) -> bool:
        return True

    def normalize_identifier(self, identifier: str) -> str:
        return identifier

    def break_path(self, path: str) -> Sequence[str]:
        return path.split(self.PATH_SEPARATOR)


sys.modules.setdefault("pipelines.loading.naming", sys.modules[__name__])
