"""A proxy in front of the object store, which counts requests and spoils some of them."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

_HOP_BY_HOP = ("transfer-encoding", "connection", "content-length")
_LISTED = re.compile(rb"<Contents><Key>(.*?)</Key>.*?</Contents>", re.DOTALL)
_SLOW_DOWN = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"""


@dataclass
class Proxy:
    """What went through, and what is done to it.

    `busy` is how many of the next requests are answered by 503. With `ignores_conditions`, a write
    whose condition isn't met seems to have succeeded. While it `lags`, listings don't show what is
    written, which can be read all the same.
    """

    endpoint: str = ""
    requests: list[str] = field(default_factory=list)
    busy: int = 0
    ignores_conditions: bool = False
    lags: bool = False
    unlisted: set[str] = field(default_factory=set)

    def without_unlisted(self, answer: bytes) -> bytes:
        """A listing without what it doesn't show yet."""

        def shown(entry: re.Match[bytes]) -> bytes:
            return b"" if unquote(entry[1].decode()) in self.unlisted else entry[0]

        return _LISTED.sub(shown, answer)


@contextmanager
def proxy_for(endpoint: str) -> Iterator[Proxy]:
    """A proxy for the store at this endpoint."""
    proxy = Proxy()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy, urlsplit(endpoint).netloc))
    server.daemon_threads = True
    proxy.endpoint = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()


def _handler(proxy: Proxy, host: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            proxy.requests.append(f"{self.command} {self.path}")
            if proxy.busy > 0:
                proxy.busy -= 1
                self._answer(503, [("Content-Type", "application/xml")], _SLOW_DOWN)
                return
            # With the host that was asked for, since it is signed.
            store = http.client.HTTPConnection(host)
            store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                store.putheader(name, value)
            store.endheaders(body)
            found = store.getresponse()
            content, status = found.read(), found.status
            if status == 412 and proxy.ignores_conditions:
                status, content = 200, b""
            if self.command == "PUT" and proxy.lags:
                _, _, key = urlsplit(self.path).path[1:].partition("/")
                proxy.unlisted.add(unquote(key))
            if "list-type=" in self.path and proxy.lags:
                content = proxy.without_unlisted(content)
            headers = [(n, v) for n, v in found.getheaders() if n.lower() not in _HOP_BY_HOP]
            length = found.getheader("content-length") if self.command == "HEAD" else None
            self._answer(status, headers, content, length)
            store.close()

        def _answer(
            self,
            status: int,
            headers: list[tuple[str, str]],
            content: bytes,
            length: str | None = None,
        ) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on

        def log_message(self, *_arguments: object) -> None:
            pass

    return Handler
