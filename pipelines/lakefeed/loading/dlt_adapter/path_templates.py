"""Escapes `%` in folder names, which dlt formats as part of a template.

dlt (1.31) formats `<folder>/<table>.%s` with `%` for each file that it writes, so a project in a
folder such as `100%` couldn't load anything. If dlt renames the method, the patch has no effect
(tests/unit/loading/test_dlt.py); it can go once dlt escapes the folder itself.
"""

from __future__ import annotations

from typing import Any

from dlt.common.storages.load_storage import LoadItemStorage
from dlt.extract.storage import ExtractorItemStorage

_TEMPLATE = "_get_data_item_path_template"


def take_folders_literally() -> None:
    """Replaces the method in dlt's two storage classes, for this process."""
    for storage in (ExtractorItemStorage, LoadItemStorage):
        setattr(storage, _TEMPLATE, _with_literal_folder(getattr(storage, _TEMPLATE)))


def _with_literal_folder(template_of: Any) -> Any:
    def literal_template(storage: Any, *names: str) -> str:
        folder, separator, name = template_of(storage, *names).rpartition("/")
        return f"{folder.replace('%', '%%')}{separator}{name}"

    return literal_template
