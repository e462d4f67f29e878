"""Runs a Spark cluster on loopback: a standalone master, two workers, and Spark Connect."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from lakefeed.demo.local_stack import free_port
from lakefeed.demo.processes import Processes, processes
from lakefeed.demo.spark.distribution import Spark
from lakefeed.demo.spark.settings import Place, server_settings
from lakefeed.errors import LakefeedError

MASTER = "spark-master"
WORKERS = ("spark-worker-1", "spark-worker-2")
CONNECT = "spark-connect"
_HOST = "127.0.0.1"
# Beside other work on few cores a start may take minutes, but it goes on.
_SILENT_SECONDS = 180.0
_EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"
_PACKAGE = "org.apache.spark"
# Programs that live for minutes on few cores start faster without the last optimizations.
# Without them Java keeps room for 48 MB of compiled code, which Spark fills within minutes; from
# then on it compiles the same again and again.
_JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"


class Cluster:
    """A cluster; `remote` is what clients of Spark Connect connect to."""

    def __init__(
        self, spark: Spark, settings: Mapping[str, str], folder: Path, running: Processes
    ) -> None:
        self._spark = spark
        self._settings = settings
        self._folder = folder
        self._running = running
        self._master = free_port()
        self._connect = 0

    @property
    def remote(self) -> str:
        return f"sc://{_HOST}:{self._connect}"

    @property
    def executors(self) -> list[psutil.Process]:
        """The processes that do the work, which the workers started for the Connect server."""
        below = (process for worker in WORKERS for process in self._running.below(worker))
        return [process for process in below if _EXECUTOR in _command(process)]

    def start(self) -> None:
        """Starts all processes at once, and returns when Spark Connect answers.

        Raises:
            LakefeedError: one of them exits, or they take too long.
        """
        environment = {
            **self._spark.environment,
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": f"{_JAVA} -Dspark.deploy.maxExecutorRetries=-1",
            "SPARK_WORKER_DIR": str(self._folder / "work"),
            "SPARK_LOCAL_DIRS": str(self._folder / "local"),
        }
        at = ["--host", _HOST, "--webui-port", "0"]
        self._class(MASTER, "deploy.master.Master", [*at, "--port", str(self._master)], environment)
        for worker in WORKERS:
            size = ["--cores", "1", "--memory", "1g"]
            self._class(worker, "deploy.worker.Worker", [*at, *size, self._master_url], environment)
        self.start_connect()

    def start_connect(self) -> None:
        """Starts the Connect server at a port of its own, and returns when it answers."""
        self._wait_for(self._master)
        # gRPC refuses for a while, in all of a process, an address that it has seen fail.
        self._connect = free_port()
        file = self._folder / "connect.conf"
        file.touch(mode=0o600)
        settings = {**self._settings, **self._own_settings()}
        file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        submit = [str(self._spark.home / "bin" / "spark-submit"), "--properties-file", str(file)]
        main = f"{_PACKAGE}.sql.connect.service.SparkConnectServer"
        self._running.start(
            CONNECT, [*submit, "--class", main, "spark-internal"], self._spark.environment
        )
        self._wait_for(self._connect)

    def kill_connect(self) -> None:
        """Kills the Connect server, and with it all sessions."""
        self._running.kill(CONNECT)

    def kill_executor(self) -> None:
        """Kills one executor; its worker starts another."""
        self.executors[0].kill()

    def restore(self) -> None:
        """Starts the Connect server again where it was killed."""
        if not self._running.is_running(CONNECT):
            self.start_connect()

    @property
    def _master_url(self) -> str:
        return f"spark://{_HOST}:{self._master}"

    def _own_settings(self) -> Mapping[str, str]:
        # On the class path, where both read them as they are: `spark.jars` would copy them first.
        jars = f"{self._spark.home}/jars/*:{self._spark.jars}/*"
        return {
            "spark.master": self._master_url,
            "spark.app.name": "lakefeed",
            "spark.driver.host": _HOST,
            "spark.driver.bindAddress": _HOST,
            "spark.driver.memory": "1g",
            "spark.driver.extraJavaOptions": _JAVA,
            "spark.driver.extraClassPath": jars,
            "spark.executor.memory": "1g",
            "spark.executor.extraJavaOptions": _JAVA,
            "spark.executor.extraClassPath": jars,
            "spark.connect.grpc.binding.address": _HOST,
            "spark.connect.grpc.binding.port": str(self._connect),
            "spark.local.dir": str(self._folder / "local"),
        }

    def _class(
        self, name: str, program: str, arguments: list[str], environment: Mapping[str, str]
    ) -> None:
        command = [str(self._spark.home / "bin" / "spark-class"), f"{_PACKAGE}.{program}"]
        self._running.start(name, [*command, *arguments], environment)

    def _wait_for(self, port: int) -> None:
        written, changed_at = -1, time.monotonic()
        while time.monotonic() - changed_at < _SILENT_SECONDS:
            self._running.check()
            with suppress(OSError), socket.create_connection((_HOST, port), timeout=1):
                return
            if written != (size := self._running.written()):
                written, changed_at = size, time.monotonic()
            time.sleep(0.05)
        raise LakefeedError(
            f"Spark doesn't start: it hasn't written to its logs for {_SILENT_SECONDS:.0f} s",
            do=f"look at its logs, beside {self._running.log_of(CONNECT)}",
        )


@contextmanager
def spark_cluster(
    spark: Spark, place: Place, folder: Path, settings: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """Starts a cluster, and stops it when the block ends.

    Args:
        folder: for its logs, and what its executors write while they work.
        settings: of the server, in place of those that Lakefeed needs.

    Raises:
        LakefeedError: it doesn't start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with processes(folder, folder / "logs") as running:
        known = {"spark.ui.enabled": "false", **server_settings(place), **(settings or {})}
        cluster = Cluster(spark, known, folder, running)
        cluster.start()
        yield cluster


def _command(process: psutil.Process) -> list[str]:
    """What a process was started with; nothing, where it has ended."""
    try:
        command: list[str] = process.cmdline()
    except psutil.NoSuchProcess:
        return []
    return command
