"""Sessions of botocore whose clients share what botocore knows of S3.

Each session would parse its descriptions again (4 MB of JSON): 14 MB of memory and 0.15 s a client.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.loaders import Loader


def s3_session(profile: str | None) -> Any:
    """A session of aiobotocore, as s3fs makes it for a client of its own.

    Args:
        profile: the profile of AWS whose settings count; None for the one that variables name.
    """
    from aiobotocore.session import AioSession

    return _sharing(AioSession(profile=profile))


def describe_s3() -> None:
    """Reads the descriptions, for all sessions of this process and of those forked from it.

    Side effect: none that a fork doesn't survive, such as threads or connections.
    """
    from botocore.session import Session

    # Each description that a client needs is read when the client is made.
    _sharing(Session()).create_client(
        "s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none"
    )


def _sharing(session: Any) -> Any:
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


@cache
def _loader(data_path: str | None) -> Loader:
    from botocore.loaders import create_loader

    return create_loader(data_path)
