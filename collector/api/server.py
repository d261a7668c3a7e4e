"""The HTTP server: a port taken before anything else starts, and a thread that serves on it.

Errors:
    PortTaken   somebody listens there, or we may not: `str()` is the one line a person needs
"""

from __future__ import annotations

import socket
import threading
import time

import uvicorn
from starlette.types import ASGIApp

_STARTED_SECONDS = 20.0
_BACKLOG = 256


class PortTaken(Exception):
    """The address cannot be listened on."""


def bound(host: str, port: int) -> socket.socket:
    """Takes an address to listen on; port 0 is any free one.

    Raises:
        PortTaken: it cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as wrong:
        what = f"cannot listen on {host}:{port}: {wrong.strerror}"
        raise PortTaken(f"{what}; choose another with `api.port` (FOREWARN_COLLECTOR__API__PORT)") from wrong
    return listener


class Server:
    """Serves an application on a bound socket, in a thread of its own.

    Args:
        app: what is served.
        listener: see `bound`.
        lifespan: whether the application is told when serving begins and ends, and has sockets.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket, *, lifespan: bool = False) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="on" if lifespan else "off",
            ws="websockets-sansio" if lifespan else "none",
            loop="asyncio",
            timeout_graceful_shutdown=5,
            server_header=False,
        )
        self._listener = listener
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="api", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._listener.getsockname()[1]
        return port

    def start(self) -> None:
        """Begins to serve; returns when it does."""
        self._thread.start()
        end = time.monotonic() + _STARTED_SECONDS
        while not self._server.started and self._thread.is_alive() and time.monotonic() < end:
            time.sleep(0.01)

    def close(self) -> None:
        """Lets running requests end (5 s at most) and stops."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(10)
        self._listener.close()
