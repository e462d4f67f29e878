"""Where a stage has the raw files: their paths below its URL.

Source: https://docs.snowflake.com/en/sql-reference/sql/create-stage
"""

from __future__ import annotations

import re

# Azure's URL names the account before the container: azure://account.blob.core.windows.net/raw/.
_AZURE = re.compile(r"^azure://[^/]+/")
_SCHEMES = {"gs://": "gcs://", "s3a://": "s3://", "abfss://": "az://", "abfs://": "az://"}


def below_stage(stage_url: str, raw_url: str) -> str | None:
    """The path of the raw layer below a stage, ending with a slash unless it is empty.

    None if the stage doesn't cover it.
    """
    stage, raw = _AZURE.sub("az://", _folder(stage_url)), _folder(raw_url)
    for ours, theirs in _SCHEMES.items():
        if raw.startswith(ours):
            raw = theirs + raw.removeprefix(ours)
    return raw.removeprefix(stage) if raw.startswith(stage) else None


def _folder(url: str) -> str:
    return f"{url.rstrip('/')}/"
