"""When not to say a password again, of all sources of one device together, and across restarts of the agent.

Devices lock an account, or our address, after a few wrong passwords, and lock the people who work there out with us. So
who was refused says the same password not again for half an hour; one that two sources were refused is said by nobody,
and four refusals of whatever passwords end all asking for a user. A changed password is tried at once. What one source
may and another may not is no wrong password: once a source was accepted, refusals of the others count for themselves.

What is kept on disk is a salted and slow hash of a password that was refused, never the password.

Errors: none.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass

import msgspec

from agent.reading import Clock
from agent.settings.login import Password

REST = 1800.0
"""Seconds for which a refused password is not said again: the usual lock of a Hikvision device lasts as long."""
TOGETHER, ATTEMPTS = 2, 4
"""Refusals of one password, and of all, after which no source of the device says it: devices lock from five on."""
_ROUNDS = 50_000
_LONGEST = 256


class Refused(msgspec.Struct, frozen=True):
    """One refusal: of which password, by which source, until when it rests (Unix milliseconds), and why.

    `alone` when another source was accepted with the same password: it is not wrong, it lacks a right.
    """

    of: str
    by: str
    until: int
    why: str = ""
    alone: bool = False


class Refusals(msgspec.Struct, omit_defaults=True):
    """What a device refused, as it is kept on disk."""

    salt: str = ""
    each: list[Refused] = []


@dataclass(slots=True)
class _Rest:
    until: float
    why: str
    alone: bool


class Lockout:
    """Remembers what one device refused.

    Args:
        clock: `monotonic` measures, `now` is what is kept across restarts.
        known: the refusals from before; changed in place.
    """

    def __init__(self, clock: Clock, known: Refusals | None = None) -> None:
        self.turn = asyncio.Lock()
        """Taken by whoever says a password that others say too: all at once, each would be a refusal."""
        self._clock = clock
        self._known = known if known is not None else Refusals()
        self._good: dict[Password, set[str]] = {}
        self._prints: dict[Password, str] = {}
        begun, now = clock.monotonic(), clock.now()
        self._rests = {
            (one.of, one.by): _Rest(begun + min((one.until - now) / 1000, REST), one.why, one.alone)
            for one in self._known.each
        }

    def refused(self, password: Password, by: str, why: str = "") -> None:
        """The device refused it to a source; `why` in a sentence."""
        mark, good = self._print(password), self._good.get(password, set())
        if by in good:  # It was changed on the device: what the others were accepted with is wrong now.
            self._good.pop(password)
            good = set()
            for (of, _), rest in self._rests.items():
                rest.alone = rest.alone and of != mark
        self._rests[mark, by] = _Rest(self._clock.monotonic() + REST, why[:_LONGEST], bool(good))
        self._keep()

    def accepted(self, password: Password, by: str) -> None:
        """The device took it from a source."""
        good = self._good.setdefault(password, set())
        if by in good:
            return
        good.add(by)
        if self._rests:
            mark = self._print(password)
            self._rests.pop((mark, by), None)
            for (of, _), rest in self._rests.items():
                rest.alone = rest.alone or of == mark
            self._keep()

    def left(self, password: Password, by: str) -> float:
        """Seconds for which a source is still not to say it; 0 when it may."""
        now = self._clock.monotonic()
        if any(rest.until <= now for rest in self._rests.values()):
            self._rests = {key: rest for key, rest in self._rests.items() if rest.until > now}
            self._keep()
        if not self._rests:
            return 0.0
        mark, kind = self._print(password), _kind(by)
        own = self._rests.get((mark, by))
        if own is not None:
            return own.until - now
        if kind in map(_kind, self._good.get(password, ())):
            return 0.0
        alike = [rest for (of, who), rest in self._rests.items() if of == mark and _kind(who) == kind]
        same = [rest for (of, _), rest in self._rests.items() if of == mark and not rest.alone]
        every = [rest for rest in self._rests.values() if not rest.alone]
        bounds = ((alike, TOGETHER), (same, TOGETHER), (every, ATTEMPTS))
        return max((_last(rests, most) - now for rests, most in bounds if len(rests) >= most), default=0.0)

    def why(self, password: Password) -> str:
        """Why it was refused last; what there is to say when only others were."""
        mark = self._print(password)
        whys = [rest.why for (of, _), rest in self._rests.items() if of == mark and rest.why]
        return whys[-1] if whys else "other passwords were refused by this device"

    def _print(self, password: Password) -> str:
        found = self._prints.get(password)
        if found is None:
            self._known.salt = self._known.salt or secrets.token_hex(16)
            said, salt = "\0".join(password).encode(), bytes.fromhex(self._known.salt)
            found = hashlib.pbkdf2_hmac("sha256", said, salt, _ROUNDS, 16).hex()
            self._prints = {password: found} if len(self._prints) >= ATTEMPTS else self._prints | {password: found}
        return found

    def _keep(self) -> None:
        now, begun = self._clock.now(), self._clock.monotonic()
        self._known.each = [
            Refused(of, by, now + int((rest.until - begun) * 1000), rest.why, rest.alone)
            for (of, by), rest in self._rests.items()
        ]


def _kind(by: str) -> str:
    """The source without what of it: the streams of a device are asked by one."""
    return by.partition(" ")[0]


def _last(rests: list[_Rest], most: int) -> float:
    """When so many end that fewer than `most` are left."""
    return sorted(rest.until for rest in rests)[len(rests) - most]
