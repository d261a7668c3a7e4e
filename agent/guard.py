"""The customer's consent, enforced on the customer's site. Nothing is polled and nothing leaves without it.

The guard reads the signed consent, the list of withdrawn ones and the file `STOP` in the agent's folder, again
whenever one of them changes, and fails closed: what cannot be read, proved or dated does not count. Whoever can
create a file on the agent's host can stop it, offline, at once. The log names the reason once per change.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from agent.reading import Clock
from forewarn import consent as consents
from forewarn.consent import Consent, ConsentError, Refusal
from forewarn.telemetry import Log
from forewarn.vocabulary import Source

STOP = "STOP"
WITHDRAWN = "withdrawn.json"
DROPPED = "consent withdrawn"
"""Why what a withdrawn consent covered is declared lost."""
GLANCE = 0.5
"""Seconds for which an answer of the file system is trusted."""

Watcher = Callable[[Refusal | None, str, Consent | None], None]
"""Is told what changed: why nothing is allowed (or None), that in a sentence, and the consent in force."""

log = Log(__name__)


class Guard:
    """Says what is allowed now."""

    def __init__(self, folder: Path, consent: Path, *, site: str, trusted: Collection[str], clock: Clock) -> None:
        """Nothing is read yet.

        Args:
            folder: the agent's; `STOP` and `withdrawn.json` lie there.
            consent: the signed document.
            site: the one this agent works for.
            trusted: public keys (64 hexadecimal digits) of whom the customer's word is taken from.
            clock: judges validity.
        """
        self._stop = folder / STOP
        self._list = folder / WITHDRAWN
        self._consent_file = consent
        self._site = site
        self._trusted = frozenset(trusted)
        self._clock = clock
        self._looked_at = float("-inf")
        self._seen: object = None
        self._consent: Consent | None = None
        self._refusal: Refusal | None = Refusal.ABSENT
        self._detail = ""
        self._withdrawn: frozenset[str] = frozenset()
        self._said: object = ()
        self._watchers: list[Watcher] = []

    def watch(self, watcher: Watcher) -> None:
        """Calls `watcher` once per change, from within whatever asked."""
        self._watchers.append(watcher)

    @property
    def consent(self) -> Consent | None:
        """The consent in force; None when nothing is allowed."""
        return self._consent if self.may_leave() is None else None

    @property
    def detail(self) -> str:
        """Why nothing is allowed, in a sentence; empty when something is."""
        refusal = self.may_leave()
        return self._detail or str(refusal or "")

    @property
    def withdrawn(self) -> frozenset[str]:
        """Ids of the consents withdrawn on this site."""
        self._look()
        return self._withdrawn

    def may_leave(self) -> Refusal | None:
        """Why nothing may leave the site now, or None."""
        self._look()
        refusal = self._refusal
        if refusal is None and self._consent is not None:
            refusal = self._consent.refuses(Source.AGENT, self._clock.now())
        self._say(refusal)
        return refusal

    def refuses(self, source: Source, address: str | None = None, t: int | None = None) -> Refusal | None:
        """Judges one act: now, and at `t` (Unix milliseconds) when that is another time; None allows it."""
        refusal = self.may_leave()
        if refusal is not None or self._consent is None:
            return refusal or Refusal.ABSENT
        now = self._clock.now()
        return self._consent.refuses(source, now, address) or self._consent.refuses(
            source, now if t is None else t, address
        )

    def _look(self) -> None:
        now = self._clock.monotonic()
        if now - self._looked_at < GLANCE:
            return
        self._looked_at = now
        seen = tuple(_print_of(path) for path in (self._stop, self._list, self._consent_file))
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._withdrawn = read_withdrawn(self._list)
            self._consent = self._judged(stopped=seen[0] is not None)
            self._refusal, self._detail = None, ""
        except ConsentError as wrong:
            self._consent, self._refusal, self._detail = None, wrong.refusal, str(wrong)

    def _judged(self, *, stopped: bool) -> Consent:
        if stopped:
            raise ConsentError(Refusal.STOPPED, f"the file {self._stop} is there; delete it to go on")
        try:
            text = self._consent_file.read_bytes()
        except FileNotFoundError as wrong:
            raise ConsentError(Refusal.ABSENT, f"there is no {self._consent_file}") from wrong
        except OSError as wrong:
            raise ConsentError(Refusal.UNREADABLE, str(wrong)) from wrong
        consent = consents.verified(consents.parse(text), self._trusted, self._site)
        if consent.id in self._withdrawn:
            raise ConsentError(Refusal.WITHDRAWN, f"consent {consent.id} was withdrawn on this site")
        return consent

    def _say(self, refusal: Refusal | None) -> None:
        said = (refusal, self._detail, self._consent.id if self._consent else "")
        if said == self._said:
            return
        self._said = said
        for watcher in self._watchers:
            watcher(refusal, "" if refusal is None else self._detail or str(refusal), self._consent)
        if refusal is None and self._consent is not None:
            log.info("consent in force", consent=self._consent.id, until=self._consent.valid_until)
        else:
            log.warning("nothing is polled and nothing leaves", why=self._detail or str(refusal))


def _print_of(path: Path) -> tuple[int, int, int, int] | int | None:
    """Tells one state of a file from the next; None when it is not there, an error number when nobody can tell."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as wrong:
        return wrong.errno or -1
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def read_withdrawn(path: Path) -> frozenset[str]:
    """The ids in a list of withdrawn consents; none when there is no list.

    Raises:
        ConsentError: UNREADABLE; nothing counts as consent then.
    """
    return frozenset(withdrawn_at(path))


def withdrawn_at(path: Path) -> dict[str, str]:
    """When each of the withdrawn consents was, by its id.

    Raises:
        ConsentError: as `read_withdrawn`.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as wrong:
        raise ConsentError(Refusal.UNREADABLE, f"{path}: {wrong}") from wrong


def withdraw(folder: Path, consent: str, at: int) -> None:
    """Writes a consent's id into the list of withdrawn ones, for good; the agent obeys within a second.

    Raises:
        OSError, ConsentError: the list cannot be read or written; create the file `STOP` in the folder instead.
    """
    path = folder / WITHDRAWN
    listed = withdrawn_at(path)
    listed.setdefault(consent, consents.instant(at))
    draft = path.with_suffix(".tmp")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(listed)) + b"\n")
    with draft.open("rb+") as written:
        os.fsync(written.fileno())
    draft.replace(path)
