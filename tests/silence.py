"""A network that falls silent: it acknowledges what is sent, and forwards nothing more."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from sqlalchemy.engine import make_url


class Network:
    """Leads TCP to the socket of a test's server.

    It falls silent once a client has sent `falls_silent_at`, or after so many bytes for clients:
    for all connections, or, where it `forgets`, for those alone that there are by then.
    """

    def __init__(self, server_url: str) -> None:
        self._url = make_url(server_url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._forgotten: set[int] = set()
        self._never = threading.Event()
        self._passed = 0
        self.falls_silent_at: bytes | None = None
        self.falls_silent_after: int | None = None
        self.forgets = False
        self.is_silent = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The server's, through this network."""
        port = self._listener.getsockname()[1]
        return f"postgresql://postgres@127.0.0.1:{port}/{self._url.database}"

    def close(self) -> None:
        """Ends it, with all that it leads on."""
        for one in (self._listener, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(f"{self._url.query['host']}/.s.PGSQL.5432")
                number = len(self._sockets)
                self._sockets += [client, server]
                for a, b in ((client, server), (server, client)):
                    pump = (number, a, b, b is client)
                    threading.Thread(target=self._pump, args=pump, daemon=True).start()

    def _pump(self, number: int, a: socket.socket, b: socket.socket, for_client: bool) -> None:
        with suppress(OSError):
            while data := a.recv(65536):
                self._passed += len(data) if for_client else 0
                if not self.is_silent and self._is_to_fall_silent(data, for_client):
                    self._forgotten = {n for n in range(len(self._sockets)) if n % 2 == 0}
                    self.is_silent = True
                self._wait_if_silent(number)
                b.sendall(data)
            self._wait_if_silent(number)
            b.shutdown(socket.SHUT_WR)

    def _wait_if_silent(self, number: int) -> None:
        if self.is_silent and (number in self._forgotten or not self.forgets):
            self._never.wait()

    def _is_to_fall_silent(self, data: bytes, for_client: bool) -> bool:
        if self.falls_silent_at is not None and not for_client:
            return self.falls_silent_at in data
        return self.falls_silent_after is not None and self._passed > self.falls_silent_after
