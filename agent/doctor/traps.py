"""Hearing traps: the words of one's own, and whether the port can be had.

Errors: none; what is wrong is told.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator

from agent.checking import fresh, last_status
from agent.settings import Settings
from agent.settings.listening import Listening
from agent.traps import known
from forewarn.doctor.diagnosis import Diagnosis, fail, mistakes, ok, warn
from forewarn.settings import SettingError


def look(settings: Settings) -> Iterator[Diagnosis]:
    """Looks where traps are on; a port that the running agent has is asked of its status."""
    given = settings.traps
    if not given.enabled:
        return
    try:
        words = known.words(given.tables)
    except SettingError as wrong:
        yield from mistakes("trap tables", wrong)
    else:
        own = f", with those of {given.tables}" if given.tables is not None else ""
        yield ok("trap tables", f"words for {len(words)} traps{own}")
    yield _port(settings)


def _port(settings: Settings) -> Diagnosis:
    given = settings.traps
    subject = f"traps on UDP port {given.port}"
    seen = last_status(settings.folder)
    running = seen.status.traps if seen is not None and fresh(seen.age) else None
    if running is not None and running.port == given.port:
        return ok(subject, f"the running agent hears there; {running.tally.heard} read")
    try:
        _tried(given)
    except OSError as wrong:
        return _refused(subject, given, wrong)
    if running is not None:
        return warn(subject, f"free, and the running agent does not listen: {running.why}", "see the agent's log")
    return ok(subject, "free, and this account may open it")


def _tried(given: Listening) -> None:
    """Opens the port as the trap process would, and closes it.

    Raises:
        OSError: it cannot be had.
    """
    family = socket.AF_INET6 if ipaddress.ip_address(given.address).version == 6 else socket.AF_INET  # noqa: PLR2004 - IPv6
    with socket.socket(family, socket.SOCK_DGRAM) as tried:
        tried.bind((given.address, given.port))


def _refused(subject: str, given: Listening, wrong: OSError) -> Diagnosis:
    if wrong.errno == errno.EADDRINUSE:
        remedy = f"`ss -lunp sport = :{given.port}` says which; end it, or give `traps: port` another and send there"
        return fail(subject, "another program has it", remedy)
    if wrong.errno in (errno.EACCES, errno.EPERM):
        remedy = (
            "AmbientCapabilities=CAP_NET_BIND_SERVICE in the service's unit; or `port: 1162`, and redirect 162 to it: "
            "docs/traps.md"
        )
        return fail(subject, "this account may not open it", remedy)
    if wrong.errno == errno.EADDRNOTAVAIL:
        return fail(subject, f"`{given.address}` is no address of this machine", "correct `traps: address`")
    return fail(subject, f"cannot be opened: {wrong.strerror or wrong}", "correct `traps: address` and `port`")
