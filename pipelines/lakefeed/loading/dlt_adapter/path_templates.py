"""Where dlt takes the path of a folder for a template: a `%` in it means itself.

dlt (1.31) puts the number of each file that it writes into `<folder>/<table>.%s`, by `%`, so that a
project in a folder called `100%` could load nothing. Should dlt name the method otherwise, that is
so again (tests/unit/loading/test_dlt.py).
"""

from __future__ import annotations

from typing import Any

from dlt.common.storages.load_storage import LoadItemStorage
from dlt.extract.storage import ExtractorItemStorage

_TEMPLATE = "_get_data_item_path_template"


def take_folders_literally() -> None:
    """Side effect: replaces the method in dlt's two classes, once in this process."""
    for storage in (ExtractorItemStorage, LoadItemStorage):
        setattr(storage, _TEMPLATE, _with_literal_folder(getattr(storage, _TEMPLATE)))


def _with_literal_folder(template_of: Any) -> Any:
    def literal_template(storage: Any, *names: str) -> str:
        folder, separator, name = template_of(storage, *names).rpartition("/")
        return f"{folder.replace('%', '%%')}{separator}{name}"

    return literal_template
