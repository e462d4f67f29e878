"""Names of datasets in OpenLineage, as https://openlineage.io/docs/spec/naming says."""

from __future__ import annotations

from dataclasses import dataclass

from lakefeed.declaration.project import Location


@dataclass(frozen=True)
class Dataset:
    """A dataset by its name in OpenLineage, with the columns that are known: names and types."""

    namespace: str
    name: str
    columns: tuple[tuple[str, str], ...] = ()


def dataset_in(folder: Location, name: str) -> Dataset:
    """The dataset that is a folder of this name in a folder or object store."""
    if folder.is_local:
        return Dataset("file", f"{folder.url.rstrip('/')}/{name}")
    scheme, _, rest = folder.url.partition("://")
    bucket, _, path = rest.partition("/")
    return Dataset(f"{scheme}://{bucket}", "/".join(filter(None, (path.strip("/"), name))))
