"""Lets programs that know only TCP, such as Java's, reach a server that has only a socket file."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_BLOCK = 65_536


@contextmanager
def over_tcp(url: str) -> Iterator[str]:
    """The URL of a PostgreSQL database over TCP, until the block ends.

    Args:
        url: of the database, with the folder of the server's socket as its `host`.
    """
    parts = urlsplit(url)
    (folder,) = parse_qs(parts.query)["host"]
    with _port_of(Path(folder, ".s.PGSQL.5432")) as port:
        yield f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"


@contextmanager
def _port_of(file: Path) -> Iterator[int]:

    class Handler(socketserver.BaseRequestHandler):
        request: socket.socket

        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as server:
                server.connect(str(file))
                back = threading.Thread(target=_copy, args=(server, self.request), daemon=True)
                back.start()
                _copy(self.request, server)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A connection that breaks off is the business of its two ends."""

    with Server(("127.0.0.1", 0), Handler) as relay:
        threading.Thread(target=relay.serve_forever, args=(0.1,), daemon=True).start()
        yield relay.server_address[1]
        relay.shutdown()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(_BLOCK):
            target.sendall(block)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
