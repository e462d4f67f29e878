"""What Spark needs on this machine: Java, Spark itself, and the jars of Iceberg and S3."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from lakefeed.errors import LakefeedError

SPARK_HOME_VARIABLE = "SPARK_HOME"
# The environment that `make` installs Spark's server into, beside the one that runs Lakefeed.
SERVER_VENV = ".venv-spark_server"
OLDEST_JAVA = 17

PACKAGES = (
    "org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0",
    "org.apache.iceberg:iceberg-aws-bundle:1.12.0",
    "org.apache.hadoop:hadoop-aws:3.4.2",
    "org.postgresql:postgresql:42.7.14",
    "software.amazon.awssdk:s3-transfer-manager:2.54.17",
    "software.amazon.awssdk:apache-client:2.54.17",
)
# hadoop-aws asks for all of Amazon's SDK, 640 MB. Iceberg's bundle has the part that reads S3.
EXCLUDED = (
    "software.amazon.awssdk:bundle",
    "software.amazon.awssdk:s3",
    "software.amazon.awssdk:sdk-core",
    "software.amazon.awssdk:netty-nio-client",
)
# Ivy waits for a host that never answers as long as the system does, for each package again. What
# has come until then is kept.
_DOWNLOAD_SECONDS = 600.0
# Of Ivy's hundreds of lines: the hosts that didn't answer, and what it lacks therefore.
_TELLING = re.compile(r"access error|not found|^Exception|^Error")


@dataclass(frozen=True)
class Spark:
    """A Spark that can be started: its folder, and the folder of the jars that it needs besides."""

    home: Path
    jars: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that its programs start with, none of another Spark's among them."""
        others = {name: value for name, value in os.environ.items() if "SPARK" not in name}
        return {**others, "SPARK_HOME": str(self.home), "SPARK_LOCAL_IP": "127.0.0.1"}


def jar_cache() -> Path:
    """Where this user's jars are kept, for all projects."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lakefeed" / "spark"


def find_spark(root: Path, ivy: Path, say: Callable[[str], object] = lambda _: None) -> Spark:
    """The Spark of this machine, with its jars, which are downloaded into `ivy` the first time.

    Args:
        root: the project's folder, where `.venv-spark_server` may be.
        say: is told before a download begins.

    Raises:
        LakefeedError: Java or Spark is missing, or the jars can't be downloaded.
    """
    check_java()
    home = spark_home(root)
    return Spark(home, _resolve(home, ivy, say))


def check_java() -> None:
    """Raises LakefeedError where Java is missing or too old for Spark."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if java is None:
        raise LakefeedError(
            "a Spark cluster needs Java, which isn't installed",
            do=f"install Java {OLDEST_JAVA} or 21, such as Debian's openjdk-17-jre-headless",
        )
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) < OLDEST_JAVA:
        version = found[1] if found else "unknown"
        raise LakefeedError(
            f"Spark needs Java {OLDEST_JAVA} or newer; {java} is version {version}",
            do="install a newer one, and set JAVA_HOME to its folder",
        )


def spark_home(root: Path) -> Path:
    """The folder of Spark: what SPARK_HOME says, or the package `pyspark` of its environment.

    Raises:
        LakefeedError: there is none.
    """
    named = os.environ.get(SPARK_HOME_VARIABLE)
    inside = (root / SERVER_VENV).glob("lib/python3*/site-packages/pyspark")
    candidates = [Path(named)] if named else sorted(inside)
    for folder in candidates:
        if (folder / "bin" / "spark-class").exists():
            return folder
    where = f"{SPARK_HOME_VARIABLE} is {named}, which has" if named else f"{SERVER_VENV} has"
    raise LakefeedError(
        f"a Spark cluster needs Spark: {where} no bin/spark-class",
        do=f"run `make {SERVER_VENV}/.ready`, or set {SPARK_HOME_VARIABLE} to a Spark 4.1",
    )


def _resolve(home: Path, ivy: Path, say: Callable[[str], object]) -> Path:
    """The folder with the jars, resolved by Spark as `spark.jars.packages` does, once a machine."""
    wanted = "\n".join((*PACKAGES, *EXCLUDED))
    done = ivy / "lakefeed-packages"
    ivy.mkdir(parents=True, exist_ok=True)
    with FileLock(ivy / "lakefeed.lock"):
        if not done.exists() or done.read_text() != wanted:
            say(f"Downloading the jars of Iceberg and S3, 125 MB, into {ivy}: once")
            shutil.rmtree(ivy / "jars", ignore_errors=True)
            _download(home, ivy)
            done.write_text(wanted)
    return ivy / "jars"


def _download(home: Path, ivy: Path) -> None:
    command = [
        *(str(home / "bin" / "spark-submit"), "--conf", f"spark.jars.ivy={ivy}"),
        *("--packages", ",".join(PACKAGES), "--exclude-packages", ",".join(EXCLUDED)),
        # Ivy would take what Maven left in ~/.m2, even a pom without its jar.
        *("--driver-java-options", f"-Duser.home={ivy}"),
        # Spark resolves its packages before it runs a program: here the shortest that it has.
        *("--class", "org.apache.ivy.Main", "spark-internal", "-version"),
    ]
    try:
        ended = subprocess.run(
            command,
            cwd=ivy, env=Spark(home, ivy).environment, capture_output=True, text=True, check=False,
            timeout=_DOWNLOAD_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise _not_downloaded([f"not all came within {_DOWNLOAD_SECONDS:.0f} s"]) from None
    if ended.returncode != 0:
        lines = [line.strip() for line in ended.stderr.splitlines() if _TELLING.search(line)]
        raise _not_downloaded(lines[-5:])


def _not_downloaded(told: Sequence[str]) -> LakefeedError:
    return LakefeedError(
        "\n".join(["Spark's jars can't be downloaded:", *(f"  │ {line}" for line in told)]),
        do="Spark downloads them from Maven Central, which this machine must reach once",
    )
