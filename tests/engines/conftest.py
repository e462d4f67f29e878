"""Raw and the warehouse where several machines reach them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.conftest import BUCKET, DUCKLAKE, Database, Lake


@pytest.fixture
def lake(store_lake: Lake, catalogue: Database) -> Lake:
    """A project with everything but its declaration in the store and in the catalogue."""
    folder = f"s3://{BUCKET}/{catalogue.name}"
    return replace(store_lake, warehouse=DUCKLAKE.replace("data/lake", f"'{folder}'"))
