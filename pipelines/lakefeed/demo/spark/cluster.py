"""Runs a Spark cluster on loopback: a standalone master, two workers, and what clients speak to."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping, Sequence
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
# Only one of them runs at a time: each takes all cores of the workers.
CONNECT = "spark-connect"
THRIFT = "spark-thrift"
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
    """A cluster, and the server through which clients use it, at the URL `remote`."""

    def __init__(
        self, spark: Spark, settings: Mapping[str, str], folder: Path, running: Processes
    ) -> None:
        self._spark = spark
        self._settings = settings
        self._folder = folder
        self._running = running
        self._master = free_port()
        self._server, self._port = CONNECT, 0

    @property
    def remote(self) -> str:
        scheme = "sc" if self._server == CONNECT else "thrift"
        return f"{scheme}://{_HOST}:{self._port}"

    @property
    def executors(self) -> list[psutil.Process]:
        """The processes that do the work, which the workers started for the server."""
        below = (process for worker in WORKERS for process in self._running.below(worker))
        return [process for process in below if _EXECUTOR in _command(process)]

    def start(self) -> None:
        """Starts all processes at once, and returns when the Connect server answers.

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
        self.serve()

    def serve(self, server: str = CONNECT) -> None:
        """Starts this server in place of another or of one that was killed, at a port of its own.

        Returns when it answers; at once if it runs.
        """
        if self._running.is_running(server):
            return
        if self._running.is_running(self._server):
            self.kill_server()
        # gRPC refuses for a while, in all of a process, an address that it has seen fail.
        self._server, self._port = server, free_port()
        if server == CONNECT:
            self._start_connect()
        else:
            self._start_thrift()
        self._wait_for(self._port)

    def kill_server(self) -> None:
        """Kills the server, and with it all sessions."""
        self._running.kill(self._server)

    def restore(self) -> None:
        """Starts the server again where it was killed."""
        self.serve(self._server)

    def _start_connect(self) -> None:
        settings = {
            "spark.connect.grpc.binding.address": _HOST,
            "spark.connect.grpc.binding.port": str(self._port),
        }
        self._submit("sql.connect.service.SparkConnectServer", settings)

    def _start_thrift(self) -> None:
        # It needs no metastore: its tables are in the Iceberg catalog.
        settings = {
            "spark.sql.catalogImplementation": "in-memory",
            "spark.sql.warehouse.dir": str(self._folder / "hive"),
        }
        at = {"bind.host": _HOST, "port": self._port}
        named = [f"hive.server2.thrift.{name}={value}" for name, value in at.items()]
        arguments = [part for value in named for part in ("--hiveconf", value)]
        self._submit("sql.hive.thriftserver.HiveThriftServer2", settings, arguments)

    def _submit(
        self, main: str, settings: Mapping[str, str], arguments: Sequence[str] = ()
    ) -> None:
        """Starts the server, which is a program of the cluster."""
        self._wait_for(self._master)
        file = self._folder / f"{self._server}.conf"
        file.touch(mode=0o600)
        known = {**self._settings, **self._own_settings(), **settings}
        file.write_text("".join(f"{key} {value}\n" for key, value in known.items()))
        submit = [str(self._spark.home / "bin" / "spark-submit"), "--properties-file", str(file)]
        command = [*submit, "--class", f"{_PACKAGE}.{main}", "spark-internal", *arguments]
        self._running.start(self._server, command, self._spark.environment)

    def kill_executor(self) -> None:
        """Kills one executor; its worker starts another."""
        self.executors[0].kill()

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
            do=f"look at its logs, beside {self._running.log_of(self._server)}",
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
