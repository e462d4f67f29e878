"""One stack at a time, each for all tests of the suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compose.page import Commands, read_commands
from tests.compose.setups import NAMES, Setup, lake, own_project, this_repository, workers
from tests.compose.stack import checked, why_no_engine
from tests.compose.store_image import image_of_store


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """A Docker engine, which is left without the images that were built here."""
    if why := why_no_engine():
        pytest.skip(why)
    with image_of_store():
        yield
    for name in NAMES:
        # Where services are built side by side, each has left an image, and one has the name.
        label = f"label=com.docker.compose.project={name}"
        checked("docker", "image", "prune", "--force", "--all", "--filter", label)


@pytest.fixture(scope="session")
def commands() -> Commands:
    """What the pages have their readers type."""
    return read_commands()


@pytest.fixture(
    scope="module",
    params=[this_repository, own_project, workers, lake],
    ids=["this repository", "a project of one's own", "workers", "lake"],
)
def setup(
    engine: None,
    commands: Commands,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Setup]:
    """A stack that was built, has come up, and whose page is logged in to."""
    with request.param(tmp_path_factory.mktemp("compose"), commands) as found:
        try:
            found.stack.type((found.start,))
        except AssertionError:
            print(found.stack.log())  # noqa: T201
            raise
        found.stack.log_in(found.stack.type(commands.start[1:])[0])
        yield found


@pytest.fixture(autouse=True)
def log_of_a_failure(
    request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """Shows what the services said where a test fails, since they are gone soon."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed and "setup" in request.fixturenames:
        with capfd.disabled():
            print(request.getfixturevalue("setup").stack.log())  # noqa: T201
