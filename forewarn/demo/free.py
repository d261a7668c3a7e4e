"""Loopback ports: which is free, which is taken, which answers.

Errors:
    Taken   a port that was asked for is in use: `str()` is the one line a person needs
"""

from __future__ import annotations

import socket

ADDRESS = "127.0.0.1"


class Taken(Exception):
    """The port cannot be listened on."""


def any_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port: int = probe.getsockname()[1]
        return port


def wanted(port: int) -> int:
    """The port itself, when it is free.

    Raises:
        Taken: it is not, or not ours to take.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as wrong:
            what = f"cannot listen on {ADDRESS}:{port}: {wrong.strerror}"
            raise Taken(f"{what}; choose another with --port") from wrong
    return port


def preferred(port: int) -> int:
    """The port when it is free, else any that is."""
    try:
        return wanted(port)
    except Taken:
        return any_port()


def answers(port: int) -> bool:
    """Whether something listens on a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((ADDRESS, port)) == 0
