"""The way in for people and programs: the port, the console's key, a token to log in with.

Errors: none; what is wrong is told.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

from collector.doctor.running import Answer
from collector.settings import Api, Settings
from forewarn.doctor.diagnosis import Diagnosis, fail, ok, warn
from forewarn.doctor.machine import there


def look(settings: Settings, answer: Answer) -> Iterator[Diagnosis]:
    """Port and session key; tokens are looked at with the register."""
    if answer.checks is None:
        yield _port(settings.api)
    if not (settings.console.enabled and settings.role.serves):
        return
    file = settings.folder / "console.secret"
    if not there(file):
        yield ok("console", "its session key is not there yet; the first start makes it")
        return
    try:
        empty = not file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as wrong:
        what = f"{file} cannot be read ({getattr(wrong, 'strerror', None) or 'not text'})"
        yield fail("console", what, "run this as the collector's account; or delete it: everybody logs in anew")
        return
    if empty:
        yield fail("console", f"{file} is empty", "delete it: the next start makes a new one, everybody logs in anew")
    elif file.stat().st_mode & 0o077:
        yield warn("console", f"{file} can be read by others: with it one can log in as anybody", f"chmod 600 {file}")
    else:
        yield ok("console", "its session key is kept to this account")


def _port(api: Api) -> Diagnosis:
    """Bound for a moment and never listened at, so that a collector that starts now is not kept from it."""
    subject = f"port {api.host}:{api.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(api.host, api.port, type=socket.SOCK_STREAM)[0]
        with contextlib.closing(socket.socket(family, kind, protocol)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as wrong:
        if wrong.errno == errno.EADDRINUSE:
            return fail(subject, "another program has it", "end that program, or set `api.port` to another")
        if wrong.errno == errno.EACCES:
            return fail(subject, "this account may not take it", "set `api.port` to 1024 or above")
        return fail(subject, f"cannot be taken ({wrong.strerror})", "set `api.host` to an address of this machine")
    return ok(subject, "is free")
