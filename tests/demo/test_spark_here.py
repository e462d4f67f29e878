"""What a machine lacks for a Spark cluster is said before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefeed.demo.spark.distribution import check_java, spark_home
from lakefeed.errors import LakefeedError


def test_where_java_is_missing_the_error_says_which_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(LakefeedError, match="needs Java, which isn't installed") as raised:
        check_java()

    assert "install Java 17 or 21" in str(raised.value.do)


def test_a_java_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.20\" 2023-07-18' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with pytest.raises(LakefeedError) as raised:
        check_java()

    assert f"Spark needs Java 17 or newer; {java} is version 11" in str(raised.value)


def test_where_spark_is_missing_the_error_says_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPARK_HOME", raising=False)

    with pytest.raises(LakefeedError) as raised:
        spark_home(tmp_path)

    assert ".venv-spark_server has no bin/spark-class" in str(raised.value)
    assert "run `make .venv-spark_server/.ready`, or set SPARK_HOME" in str(raised.value.do)


def test_a_spark_home_that_has_no_spark_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))

    with pytest.raises(LakefeedError) as raised:
        spark_home(tmp_path)

    assert f"SPARK_HOME is {tmp_path}, which has no bin/spark-class" in str(raised.value)
