"""A door to the server that lets some connections in, and turns away those that come later."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from psycopg2.extensions import parse_dsn

from tests.conftest import Database


@contextmanager
def gate(database: Database, *, lets_in: int) -> Iterator[int]:
    """A TCP port that leads to the database's socket for so many connections; then it is closed."""
    given = parse_dsn(database.url)
    path = f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}"
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    threads: list[threading.Thread] = []
    open_ones: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        for _ in range(lets_in):
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(path)
            open_ones.extend((client, server))
            for pair in ((client, server), (server, client)):
                threads.append(threading.Thread(target=pump, args=pair))
                threads[-1].start()
        listener.close()

    threads.append(threading.Thread(target=serve))
    threads[0].start()
    try:
        yield port
    finally:
        # Closing alone doesn't wake who waits in `accept`.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for one in open_ones:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for one in open_ones:
            one.close()
