"""One run of the demo from the first process to the last: set up, history, backlog, tickets, live, end.

Errors:
    free.Taken, home.Unfit   it cannot begin
    children.Ended           a program ended by itself
    history.Unanswered, watching.Unheard, LookupError, agent.spool.SpoolError   something the demo itself made fails
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from agent.app import SystemClock, find_profiles
from agent.delivery.spool import Spool
from agent.settings import load as load_agent
from forewarn.demo import free, history
from forewarn.demo.children import Children
from forewarn.demo.home import Home
from forewarn.demo.ledger import Account, account
from forewarn.demo.site import AGENT, SCRIPT, SITE, devices
from forewarn.demo.stage import Stage
from forewarn.demo.watching import Api, Unheard
from forewarn.demo.words import Language, say, word

HOST = f"{AGENT}.host"
PREFERRED = 8080
_GLANCE = 0.2
_LIVE_GLANCE = 1.0
_CATCH_UP = 20.0


@dataclass
class Outcome:
    """What a run came to. `seconds` is from the command to the first forecast ticket, None without one."""

    begun: float
    seconds: float | None = None
    backlog_values: int = 0
    backlog_seconds: float = 0.0
    own: bool = False
    series: int = 0
    devices: int = 0
    tickets: list[dict[str, Any]] = field(default_factory=list)
    account: Account | None = None

    @property
    def reached(self) -> bool:
        """Whether there is a forecast ticket, and this machine's own series are stored."""
        return self.seconds is not None and self.own

    @property
    def rate(self) -> float:
        """Values a second of the backlog; 0 when there was none."""
        return self.backlog_values / self.backlog_seconds if self.backlog_seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """The outcome as one object."""
        kept = self.account or Account(0, 0, 0, 0, 0, 0)
        return {
            "seconds": round(time.monotonic() - self.begun if self.seconds is None else self.seconds, 2),
            "values": kept.values,
            "values_per_second": round(self.rate),
            "series": self.series,
            "devices": self.devices,
            "records_spooled": kept.spooled,
            "records_committed": kept.committed,
            "lost": kept.lost,
            "duplicates": kept.duplicates,
            "tickets": self.tickets,
        }


@dataclass(kw_only=True)
class Performance:
    """See the module. `stop` ends it in order from any thread or signal handler."""

    home: Home
    console: Console
    language: Language
    port: int | None
    stop: threading.Event
    begun: float
    until_ticket: bool = False
    timeout: float = 120.0
    prove: bool = False
    outcome: Outcome = field(init=False)

    def __post_init__(self) -> None:
        self.outcome = Outcome(self.begun)
        self._since = time.time_ns() // 1_000_000
        self._seen: dict[str, str] = {}
        self._acts = deque(SCRIPT)

    def run(self) -> Outcome:
        """Plays until `stop` is set, or with `until_ticket` until there is a forecast ticket or no time left."""
        home = self.home
        api_port = free.preferred(PREFERRED) if self.port is None else free.wanted(self.port)
        broker_port = free.any_port()
        home.write_collector(broker_port, api_port)
        self._say("begins", folder=home.folder)
        with Stage(devices(home.state.begun)) as stage, Children(home.folder / "logs") as children:
            home.register()
            home.write_broker(broker_port)
            children.start("broker", "broker", str(home.broker_json))
            children.wait(lambda: free.answers(broker_port), "the broker")
            children.start("collector", "collector", "run", "--config", str(home.collector_yaml))
            home.write_agent(broker_port, stage.actors)
            self._remember(stage)
            stage.play()
            if not self._over():
                api = Api(api_port, home.state.token)
                # A block that nobody hears yet would be sent again only after the agent's patience.
                children.wait(lambda: self.stop.is_set() or api.ready(), "the collector")
                children.start("agent", "agent", "run", "--config", str(home.agent_yaml))
                self._watch(api, children)
                if not self.until_ticket:
                    self._welcome(api, stage)
                    self._live(api, children, stage)
                self._close(api, children)
        if self.prove:
            self._prove()
        return self.outcome

    def _say(self, name: str, **facts: object) -> None:
        self.console.print(say(self.language, name, **facts), highlight=False, markup=False, soft_wrap=True)

    def _remember(self, stage: Stage) -> None:
        """Puts the history into the spool, unless an earlier run did."""
        home = self.home
        if home.state.history:
            self._say("resumed")
            return
        _forget(home)
        settings, clock = load_agent(home.agent_yaml, env={}), SystemClock()
        targets = {target.name: target for target in settings.devices}
        spool = Spool(settings.folder / "spool", clock=clock, linger=0.0, ledger=home.ledger)

        async def write() -> tuple[int, int]:
            pasts = await history.pasts(stage.actors, targets, find_profiles(settings), clock)
            end = clock.now() // 1000 * 1000 - 2000
            total = history.LENGTH // history.STEP * len(pasts)
            with _progress(self.console) as bar:
                task = bar.add_task(say(self.language, "writing"), total=total, values=0)

                def going(records: int, values: int) -> bool:
                    bar.update(task, completed=records, values=values)
                    return not self._over()

                readings = history.steps(pasts, end)
                consent = home.state.consent
                return await history.fill(spool, readings, consent=consent, ledger=home.simulated, going=going)

        records, self.outcome.backlog_values = asyncio.run(write())
        if not self._over():
            home.state.history = records
            home.keep()

    def _watch(self, api: Api, children: Children) -> None:
        """Shows the backlog going out, until the first forecast ticket and this machine's own series are there."""
        values = self.outcome.backlog_values
        with _progress(self.console) if values else contextlib.nullcontext() as bar:
            shown = (
                bar.add_task(say(self.language, "sending"), total=self.home.state.history, values=0) if bar else None
            )
            first = 0.0
            while not self.stop.wait(_GLANCE) and not self.outcome.reached and not self._over():
                children.check()
                with contextlib.suppress(Unheard):
                    if not first:
                        first = time.monotonic()
                    upto = api.get(f"ingest/{AGENT}")["watermark"]
                    if not upto:
                        first = time.monotonic()
                    if bar and shown is not None and not self.outcome.backlog_seconds:
                        self._advance(bar, shown, upto, first)
                    self._look(api)

    def _advance(self, bar: Progress, shown: TaskID, upto: int, first: float) -> None:
        total, values = self.home.state.history, self.outcome.backlog_values
        bar.update(shown, completed=min(upto, total), values=round(values * min(upto, total) / total))
        if upto >= total:
            self.outcome.backlog_seconds = max(time.monotonic() - first, _GLANCE)

    def _over(self) -> bool:
        """Whether it is to end: told so, or out of time."""
        expired = self.until_ticket and time.monotonic() - self.begun > self.timeout
        return expired or self.stop.is_set()

    def _look(self, api: Api) -> None:
        """Looks for the first forecast ticket and for this machine's own series."""
        if self.outcome.seconds is None:
            for ticket in api.get("tickets", state="open", limit=100)["items"]:
                if ticket["recovered"] is None and _foretells(api.get(f"tickets/{ticket['id']}")):
                    self.outcome.seconds = time.monotonic() - self.begun
                    told = {
                        "title": ticket["title"][self.language],
                        "severity": word(self.language, ticket["severity"]),
                    }
                    self._say("ticket", seconds=self.outcome.seconds, **told)
                    break
        if not self.outcome.own:
            newest = api.get(f"sites/{SITE}/devices/{HOST}")["values"]
            self.outcome.own = any(value["t"] >= self._since for value in newest)

    def _welcome(self, api: Api, stage: Stage) -> None:
        if self.stop.is_set():
            return
        outcome = self.outcome
        if outcome.rate:
            facts = {"values": outcome.backlog_values, "seconds": outcome.backlog_seconds, "rate": outcome.rate}
            self._say("rate", **facts)
        if api.serves("/"):
            self._say("console", address=api.address)
        self._say("address", address=api.address)
        self._say("token", token=self.home.state.token)
        self._say("simulated", names=", ".join(actor.role.name for actor in stage.actors))
        self._say("own", host=HOST)
        self._say("goes_on")

    def _live(self, api: Api, children: Children, stage: Stage) -> None:
        """Plays the script and tells each turn of a ticket, until told to stop."""
        since = time.monotonic()
        while not self.stop.is_set():
            children.check()
            while self._acts and time.monotonic() - since >= self._acts[0].after:
                act = self._acts.popleft()
                stage.answer(act.devices, answers=act.answers)
                said = f"{_clock()}  {act.told[self.language]}"
                self.console.print(said, highlight=False, markup=False, soft_wrap=True)
            with contextlib.suppress(Unheard):
                self._tell(api)
            self.stop.wait(_LIVE_GLANCE)

    def _tell(self, api: Api) -> None:
        """One line for every ticket whose standing has changed."""
        for ticket in reversed(api.get("tickets", limit=100)["items"]):
            standing = "recovered" if ticket["recovered"] is not None else ticket["state"]
            if self._seen.get(ticket["id"]) != standing:
                self._seen[ticket["id"]] = standing
                told = {"title": ticket["title"][self.language], "severity": word(self.language, ticket["severity"])}
                self._say("new", at=_clock(), state=word(self.language, standing), **told)

    def _close(self, api: Api, children: Children) -> None:
        """Ends agent, then collector, then broker; with `prove` only after the store has what the journal has."""
        if self.prove:
            with contextlib.suppress(Unheard):
                self.outcome.series = len(api.everything("series", site=SITE, limit=500))
                self.outcome.devices = len(api.everything("devices", site=SITE, limit=500))
                self.outcome.tickets = [_brief(api, each, self.language) for each in api.everything("tickets")]
        children.end("agent")
        end = time.monotonic() + _CATCH_UP
        with contextlib.suppress(Unheard):
            while self.prove and api.behind() and time.monotonic() < end:
                time.sleep(_GLANCE)
        children.end("collector")
        children.end("broker")

    def _prove(self) -> None:
        home = self.home
        if not home.ledger.exists() or not (home.folder / "collector" / "series.duckdb").exists():
            return
        self.outcome.account = account(home.collector_settings(), spool=home.ledger, simulated=home.simulated)
        self._say("proof", **self.outcome.account._asdict())


def _forget(home: Home) -> None:
    """Takes away what an interrupted writing of the history left; no agent has run with it."""
    for file in [home.ledger, home.simulated, *(home.agent / "spool").glob("*")]:
        file.unlink(missing_ok=True)


def _foretells(ticket: dict[str, Any]) -> bool:
    """Whether a ticket was opened by a forecast: by a time-to-threshold that held."""
    evidence = (ticket["reason"] or {}).get("evidence", [])
    return any(each["held"] and each["text"].startswith("ttt(") for each in evidence)


def _brief(api: Api, ticket: dict[str, Any], language: Language) -> dict[str, Any]:
    brief = {name: ticket[name] for name in ("id", "rule", "device", "severity")}
    whole = api.get(f"tickets/{ticket['id']}")
    return brief | {"title": ticket["title"][language], "reason": whole["explanation"]}


def _clock() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S")


class _Pace(ProgressColumn):
    """Values so far, and how many a second."""

    def render(self, task: Task) -> Text:
        values, elapsed = task.fields["values"], task.elapsed or 0.0
        pace = f", {values / elapsed:,.0f}/s" if elapsed and values else ""
        return Text(f"{values:,} values{pace}")


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    with Progress(TextColumn("{task.description}"), BarColumn(), _Pace(), console=console) as bar:
        yield bar
