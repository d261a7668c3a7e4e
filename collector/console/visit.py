"""What a page knows of its visitor: whose name, which language, which zone, light or dark, and whom to ask.

`ask` and `ask_store` run what blocks in threads of the console's own. The two have separate threads, so that a store
that hangs leaves tickets and the register readable.

Errors:
    Unanswered   a database or the store cannot answer now; the text says which and why
    LoggedOut    the visitor's token was revoked while the page stood open
"""

from __future__ import annotations

import asyncio
import zoneinfo
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from collector.api.parts import Parts
from collector.console.sessions import Sessions, cookie
from collector.console.units import shown
from collector.console.words import LANGUAGES, Say
from collector.series.store import StoreError
from collector.storage.database import StorageError
from rules.ruleset import Ruleset

T = TypeVar("T")
THEMES = ("auto", "light", "dark")
_SPANS = ((86400, "days_ago"), (3600, "hours_ago"), (60, "minutes_ago"))
_STORE_SECONDS = 20.0


class Unanswered(Exception):
    """Something that was asked cannot answer now."""


class LoggedOut(Exception):
    """Nobody has this token any more."""


@dataclass(frozen=True)
class Threads:
    """Where the console waits for what blocks."""

    databases: ThreadPoolExecutor
    store: ThreadPoolExecutor

    @classmethod
    def started(cls) -> Threads:
        """Eight for the databases, four for the store."""
        return cls(ThreadPoolExecutor(8, "console-databases"), ThreadPoolExecutor(4, "console-store"))

    def close(self) -> None:
        """Lets go of them; what still waits is dropped."""
        for pool in (self.databases, self.store):
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class Visit:
    """One page shown to one person."""

    parts: Parts
    rules: Ruleset
    threads: Threads
    sessions: Sessions
    say: Say
    theme: str
    zone: tzinfo
    digest: str
    actor: str

    @property
    def now(self) -> int:
        """Unix milliseconds."""
        return self.parts.now()

    async def ask(self, question: Callable[[], T]) -> T:
        """What a function of the databases gives.

        Raises:
            Unanswered: see above.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self.threads.databases, question)
        except (StorageError, DBAPIError, PoolTimeout) as wrong:
            raise Unanswered(self.say("database_silent", why=type(wrong).__name__)) from wrong

    async def ask_store(self, question: Callable[[], T]) -> T:
        """What a function of the series store gives, within 20 s.

        Raises:
            Unanswered: see above.
        """
        waiting = asyncio.get_running_loop().run_in_executor(self.threads.store, question)
        try:
            return await asyncio.wait_for(waiting, _STORE_SECONDS)
        except (StoreError, TimeoutError) as wrong:
            raise Unanswered(self.say("store_silent", why=str(wrong) or type(wrong).__name__)) from wrong

    async def acting(self) -> str:
        """In whose name an act is done now: a page may stand open longer than its visitor's token is good.

        Raises:
            LoggedOut, Unanswered: see above.
        """
        actor = self.sessions.actors.known(self.digest) or await self.ask(
            lambda: self.sessions.actors.look_up(self.digest)
        )
        if actor is None:
            raise LoggedOut
        return actor

    def at(self, t: int | None) -> str:
        """An instant in the visitor's zone, "2026-11-22 16:50:57"; a dash for none."""
        return "—" if t is None else datetime.fromtimestamp(t / 1000, self.zone).strftime("%Y-%m-%d %H:%M:%S")

    def ago(self, t: int | None) -> str:
        """How long ago an instant is, in one unit; a dash for none."""
        if t is None:
            return "—"
        seconds = (self.now - t) / 1000
        for size, word in _SPANS:
            if seconds >= 2 * size:
                return self.say(word, n=int(seconds // size))
        return self.say("just_now") if seconds < 60 else self.say("minutes_ago", n=1)  # noqa: PLR2004 - a minute

    def value(self, field: str, value: float | None) -> str:
        """A value with its unit in the visitor's language."""
        return shown(field, value, self.say)

    def text(self, texts: dict[str, str]) -> str:
        """A text of a rule or ticket in the visitor's language, in the other one when it has only that."""
        return texts.get(self.say.language) or next((text for text in texts.values() if text), "")


def preferences(headers: dict[str, str], default: str) -> tuple[Say, str, tzinfo]:
    """The language, theme and zone a browser asks for with its cookies.

    Args:
        headers: of the request, by name in small letters.
        default: the language of who has chosen none; `auto` asks the browser (Accept-Language).
    """
    cookies = headers.get("cookie", "")
    language, theme = cookie(cookies, "forewarn_language"), cookie(cookies, "forewarn_theme")
    try:
        zone: tzinfo = zoneinfo.ZoneInfo(cookie(cookies, "forewarn_zone") or "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        zone = UTC  # No such zone, a path, or a machine without tzdata.
    if default not in LANGUAGES:
        default = "zh" if headers.get("accept-language", "").lower().startswith("zh") else "en"
    say = Say(language if language in LANGUAGES else default)
    return say, theme if theme in THEMES else "auto", zone
