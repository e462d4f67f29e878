"""Makes sure, before anything is read, that an object store can be used as the raw layer.

    raw/_lakefeed_id    names the raw layer, the same wherever it is reached from

The file is written once. To write it once more must fail: a store that ignores the condition would
let two writers both win, so it is refused.
"""

from __future__ import annotations

import uuid
from typing import Any

from lakefeed.declaration.project import Location
from lakefeed.errors import Refused
from lakefeed.loading.object_store.file_cache import cache_folder
from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.loading.object_store.store_errors import no_bucket
from lakefeed.loading.object_store.writing import create_file

LAKE_ID = "_lakefeed_id"

_ids: dict[Location, str] = {}


def id_in_store(raw: Location) -> str:
    """The unique id of the raw layer in an object store, which is checked for the first time.

    Side effects: creates the id on first use; notes in `data/.raw` that the store was checked.

    Raises:
        StorageFailed: the store can't be reached, or refuses.
        Refused: it ignores the condition of a write.
    """
    if raw not in _ids:
        filesystem, root = open_raw(raw)
        path = f"{root}/{LAKE_ID}"
        try:
            found = filesystem.cat_file(path)
        except FileNotFoundError:
            found = _created(filesystem, path, raw)
        note = cache_folder(raw, LAKE_ID)
        if not note.exists():
            _refuse_without_conditions(filesystem, path, found, raw)
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()
        _ids[raw] = found.decode().strip()
    return _ids[raw]


def _created(filesystem: Any, path: str, raw: Location) -> bytes:
    try:
        made = f"{uuid.uuid4()}\n".encode()
        create_file(filesystem, path, made)
    except FileExistsError:
        # Another first load was faster.
        made = bytes(filesystem.cat_file(path))
    except FileNotFoundError:
        # Google's answer, which names no bucket.
        raise no_bucket(raw) from None
    return made


def _refuse_without_conditions(filesystem: Any, path: str, content: bytes, raw: Location) -> None:
    """Writes what is there already, which must fail, and changes nothing where it doesn't."""
    try:
        filesystem.pipe_file(path, content, mode="create")
    except FileExistsError:
        return
    raise Refused(
        "the store writes a file although it is already there, so that two loads could both win "
        "(it ignores `If-None-Match`)",
        where=raw.url,
        do="use a store, or a version of it, that has conditional writes (docs/object-store.md)",
    )
