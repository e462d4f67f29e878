"""The jars that a cluster needs besides Spark's own."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from lakefeed.demo.spark import distribution
from lakefeed.demo.spark.distribution import Spark, find_spark
from lakefeed.errors import LakefeedError
from tests.spark.conftest import REPOSITORY

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]


def test_jars_that_are_there_are_not_downloaded_again(spark_here: Spark) -> None:
    told: list[str] = []

    again = find_spark(REPOSITORY, spark_here.jars.parent, told.append)

    assert again == spark_here
    assert told == []


@pytest.mark.at_night
def test_without_a_network_the_error_tells_what_spark_said(
    spark_here: Spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=1"
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", nowhere)
    told: list[str] = []

    with pytest.raises(LakefeedError, match="Spark's jars can't be downloaded") as raised:
        find_spark(REPOSITORY, tmp_path / "jars", told.append)

    assert "unresolved dependency" in str(raised.value)
    assert told == [
        f"Downloading the jars of Iceberg and S3, 125 MB, into {tmp_path / 'jars'}: once"
    ]


@pytest.mark.at_night
def test_a_network_that_never_answers_isnt_waited_for_without_end(
    spark_here: Spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribution, "_DOWNLOAD_SECONDS", 20.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        silent_proxy = f"-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort={port}"
        monkeypatch.setenv("JAVA_TOOL_OPTIONS", silent_proxy)

        with pytest.raises(LakefeedError, match="not all came within 20 s"):
            find_spark(REPOSITORY, tmp_path / "jars")
