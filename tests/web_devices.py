"""Devices with a web interface, played over real HTTP: recorded answers behind digest authentication, requests kept."""

from __future__ import annotations

import hashlib
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

USER, PASSWORD = "forewarn", "look-only"
_PARAMETER = re.compile(r'(\w+)="?([^",]+)"?')


class Asked(NamedTuple):
    method: str
    path: str
    authorized: bool
    body: bytes


class WebDevice:
    """Answers by path: the text of a file, or a function of the request's body. `asked` is all it was asked."""

    def __init__(self, answers: dict[str, str | Callable[[bytes], tuple[int, str]]], *, digest: bool = True) -> None:
        self.answers = answers
        self.digest = digest
        self.password = PASSWORD
        self.asked: list[Asked] = []
        self.statuses: dict[str, int] = {}
        self.port = 0
        self.hangs_up = False
        """Whether it closes the connection on who says a wrong password, without an answer."""
        self.scheme = 'Digest realm="it", nonce="n-1", qop="auth", algorithm=MD5'

    def refused(self) -> int:
        """How often a wrong password was said."""
        return sum(1 for each in self.asked if each.authorized) if self.password != PASSWORD else 0

    def allows(self, method: str, header: str) -> bool:
        if not self.digest:
            return True
        given = dict(_PARAMETER.findall(header))
        if not header.startswith("Digest ") or given.get("username") != USER:
            return False
        one = md5(f"{USER}:it:{self.password}")
        two = md5(f"{method}:{given['uri']}")
        return given["response"] == md5(f"{one}:{given['nonce']}:{given['nc']}:{given['cnonce']}:auth:{two}")


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@contextmanager
def serving(device: WebDevice, *, context: ssl.SSLContext | None = None) -> Iterator[WebDevice]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            header = self.headers.get("Authorization", "")
            device.asked.append(Asked(self.command, self.path, bool(header), body))
            if not device.allows(self.command, header):
                self.close_connection = device.hangs_up and bool(header)
                if not self.close_connection:
                    self._send(401, "", ("WWW-Authenticate", device.scheme))
                return
            found = device.answers.get(self.path)
            status, text = (404, "") if found is None else found(body) if callable(found) else (200, found)
            self._send(device.statuses.get(self.path, status), text)

        def _send(self, status: int, text: str, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - http.server calls them so

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    device.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield device
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
