"""The way in: from the broker's messages to committed journal entries, and back to the agents as acknowledgements.

The network thread only enqueues. One ingest thread judges what waits, commits many blocks in one transaction, and then
acknowledges what is committed, never before. A journal without room stops it: nothing is acknowledged, the broker is
held back, one line in the log says so, and it goes on by itself when there is room. It also commits the ticks that
attest that time passed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ulid import ULID

from collector.intake.acks import Acks
from collector.intake.inbox import Inbox, Waiting
from collector.intake.share import LOOK_SECONDS, Share
from collector.intake.sitting import Sitting, Standing
from collector.journal.deadletter import give_again
from collector.journal.disk import Change, DatabaseJournal, Outrun
from collector.journal.shared import SharedJournal
from collector.register import MISSED_SECONDS, Known, Register
from collector.shards.leases import Fenced, Tenure
from collector.storage.database import StorageError
from forewarn.bus import Bus, Done, State
from forewarn.signals import block_filter
from forewarn.telemetry import Log
from forewarn.wire import Reason

log = Log(__name__)

LAST_SECONDS = 5.0
"""How long a stop may go on committing what arrives meanwhile."""


@dataclass(frozen=True)
class Pace:
    """How the ingest thread works: sizes in bytes and blocks, times in seconds."""

    inbox_bytes: int = 64 * 1024 * 1024
    blocks_at_once: int = 512
    linger: float = 0.02
    tick: float = 10.0
    retry: float = 1.0


class Intake:
    """Takes blocks from the bus into the journal. Start it before the bus connects; stop it before the bus closes.

    Args:
        journal: where blocks are committed; this object is its only writer in the process.
        register: who may speak.
        bus: not yet connected.
        now: Unix milliseconds.
        monotonic: seconds.
        tenure: the leases of the shards to take in, with a journal shared with other processes; None takes all.
        pace: how it works.
        full: why no block may be committed for want of room; empty when there is room.

    Raises:
        StorageError: the journal cannot be read.
    """

    def __init__(
        self,
        journal: DatabaseJournal,
        register: Register,
        bus: Bus,
        *,
        now: Callable[[], int],
        monotonic: Callable[[], float],
        tenure: Tenure | None = None,
        pace: Pace | None = None,
        full: Callable[[], str] = str,
    ) -> None:
        self.standing = Standing(journal)
        self.failed = 0
        self.boot = str(ULID())
        self._journal = journal
        self._register = register
        self._monotonic = monotonic
        self._now = now
        self._pace = pace or Pace()
        self._full = full
        self._inbox = Inbox(self._pace.inbox_bytes, now=now)
        self._acks = Acks(bus, self.boot, key=self._key, now=now, monotonic=monotonic)
        self._known = Known({}, {})
        self._stopping = threading.Event()
        self._told_of: Known | None = None
        self._greet = False
        self._connected = False
        self._deaf = True
        """Whether the broker was out of reach at some time since the last tick, which then attests nobody's silence."""
        self._trouble = ""
        self._next_tick = monotonic()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._share: Share | None = None
        if tenure is None:
            self.standing.load()
            bus.subscribe(block_filter(), self.receive)
        else:
            assert isinstance(journal, SharedJournal), "leases are of a journal that is shared"
            self._share = Share(
                journal,
                tenure,
                register=register,
                standing=self.standing,
                bus=bus,
                receive=self.receive,
                now=now,
            )
        bus.watch(self._turned)

    def start(self) -> None:
        """Begins to work, in a thread of its own."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Commits and acknowledges what has arrived, unless the journal cannot take it, and ends the thread."""
        self._stopping.set()
        self._inbox.wake()
        self._thread.join(timeout)

    def receive(self, topic: str, payload: bytes, done: Done) -> None:
        """Takes a message on the network thread, which it does not keep."""
        self._inbox.put(topic, payload, done)

    def trouble(self) -> str:
        """Why nothing can be taken in now, in a sentence; empty when all is well."""
        return self._trouble or self.standing.full

    @property
    def waiting_bytes(self) -> int:
        """Bytes that arrived and are not committed."""
        return self._inbox.used

    @property
    def dropped(self) -> int:
        """Messages dropped because a broker would not be held back; their agents send them again."""
        return self._inbox.dropped

    @property
    def acks_published(self) -> int:
        """Acknowledgements published since the start."""
        return self._acks.published

    def _turned(self, state: State) -> None:
        self._connected = state.connected
        self._deaf = self._deaf or not state.connected
        if state.connected:
            self._greet = True
            self._inbox.wake()

    def _key(self, agent: str) -> str | None:
        known = self._known.agents.get(agent)
        return known.ack_key if known else None

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.turn(self._patience())
        last = self._monotonic() + LAST_SECONDS
        while not self._trouble and self.turn(0) and self._monotonic() < last:
            pass
        if self._share is not None:
            self._share.close()

    def _patience(self) -> float:
        due = self._acks.next_due()
        soonest = self._next_tick if due is None else min(due, self._next_tick)
        patience = max(0.0, soonest - self._monotonic())
        return patience if self._share is None else min(patience, LOOK_SECONDS)

    def turn(self, timeout: float) -> int:
        """One turn of the ingest thread: waits, judges, commits, acknowledges, ticks. Returns how many messages."""
        messages = self._inbox.take(self._pace.blocks_at_once, timeout=timeout, linger=self._pace.linger)
        if self._share is not None:
            with self._unstopped("shards could not be taken up or given up"):
                self._follow(self._share)
        with self._unstopped("held agents could not be told to try again"):
            self._look_for_room()
            self._look_for_held()
        touched = self._process(messages)
        self._inbox.settle(messages)
        with self._unstopped("agents could not be told, or no tick be made"):
            self._answer(touched)
        return len(messages)

    @contextlib.contextmanager
    def _unstopped(self, event: str, **facts: object) -> Iterator[None]:
        """Names what went wrong within, and goes on."""
        try:
            yield
        except StorageError as wrong:
            self._in_trouble(wrong)
        except Fenced as fenced:
            assert self._share is not None
            self._share.lost(fenced)
        except Exception:  # A mistake of ours must not stop the intake of all agents.
            log.exception(event, **facts)

    def _follow(self, share: Share) -> None:
        """Takes up and gives up shards as leases come and go, and tells the agents that are new here how far they are."""
        gone, new = share.follow()
        self._acks.forget(gone)
        if new:
            self._known = self._register.known()
            self._greet_some(set(new))

    def _answer(self, touched: set[str]) -> None:
        """Acknowledges what is committed, and attests that time passed."""
        if self._greet:
            self._greet_all()
        self._acks.publish(touched=touched)
        if self._monotonic() >= self._next_tick:
            self._next_tick = self._monotonic() + self._pace.tick
            if self.standing.full:
                return  # A tick would attest a silence of the agents that we hold ourselves.
            listened, self._deaf = 0 if self._deaf else None, not self._connected
            if self._share is None:
                self._journal.tick(self._now(), listened)
                give_again(self._journal, self._now())
            else:
                give_again(self._journal, self._now(), self._share.tick(listened))
            self._well()

    def _greet_all(self) -> None:
        """Tells every agent how far it is, in a new boot's name, so that it sends the rest again at once."""
        self._known = self._register.known()
        self._greet = False
        self._greet_some({agent for agent, _ in self.standing.marks})

    def _greet_some(self, agents: set[str]) -> None:
        newest: dict[str, tuple[int, str]] = {}
        for agent in agents:
            begun = ((self.standing.marks[agent, epoch].begun, epoch) for epoch in self.standing.epochs.get(agent, ()))
            newest[agent] = max(begun, default=(0, ""))
        for agent, (_, epoch) in newest.items():
            mark = self.standing.marks.get((agent, epoch))
            if mark is not None and agent in self._known.agents and not self._forked(agent):
                self._acks.again(agent, epoch, mark.upto, mark.chain)

    def _look_for_held(self) -> None:
        """Lets agents whose blocks are held try again at once when the register changed: it may be what was missing."""
        known = self._register.known()
        if known is self._told_of:
            return
        self._known = self._told_of = known
        held = {agent for agent, counters in self.standing.counters.items() if counters.held_reason}
        self._tell_again(held | set(self.standing.strangers))

    def _look_for_room(self) -> None:
        """Holds all agents while the journal is at its limit, and lets them go on at once when it is not."""
        before, self.standing.full = self.standing.full, self._full()
        if self.standing.full and not before:
            log.error("agents are held for want of room", why=self.standing.full)
        elif before and not self.standing.full:
            log.info("there is room again, agents go on")
            of = self.standing.counters.items()
            self._tell_again({agent for agent, counters in of if counters.held_reason.startswith(Reason.NO_ROOM)})

    def _tell_again(self, agents: set[str]) -> None:
        for agent in agents & self._known.agents.keys():
            if not self._forked(agent):
                epoch = self.standing.counters[agent].epoch if agent in self.standing.counters else ""
                mark = self.standing.marks.get((agent, epoch))
                self._acks.again(agent, epoch, mark.upto if mark else 0, mark.chain if mark else b"")

    def _forked(self, agent: str) -> bool:
        """Whether its last block was another's: a watermark would make it delete records that nobody committed."""
        counters = self.standing.counters.get(agent)
        return counters is not None and counters.held_reason.startswith(Reason.FORKED)

    def _process(self, messages: Sequence[Waiting]) -> set[str]:
        """Commits what is to be committed of these messages; returns the agents that have something to hear."""
        if not messages:
            return set()
        heard: list[set[str]] = []
        with self._unstopped("blocks could not be dealt with", topic=messages[0].topic, messages=len(messages)):
            heard.append(self._sit(messages))
        if heard:
            return heard[0]
        if len(messages) > 1:
            return {agent for message in messages for agent in self._process([message])}
        self.failed += 1  # The one message that shows the mistake is dropped, and not acknowledged.
        return set()

    def _sit(self, messages: Sequence[Waiting]) -> set[str]:
        while True:
            try:
                self._known = self._register.known()
                sitting = Sitting(self.standing, self._concerned(self._known), again=self._look_again)
                for message in messages if self._share is None else self._share.mine(messages):
                    sitting.take(message)
                if self._commit(sitting.change):
                    return self._tell(sitting)
            except Outrun as outrun:
                log.warning("watermarks are read again", why=str(outrun))
                if self._share is None:
                    self.standing.load()
                else:
                    self._share.load()
            except Fenced as fenced:
                assert self._share is not None
                self._share.lost(fenced)
            except StorageError as wrong:
                self._in_trouble(wrong)
            if self._stopping.wait(self._pace.retry if self._trouble else 0):
                return set()

    def _look_again(self) -> Known:
        """The register, for a name that is not in the picture: it may have been added within the last second."""
        self._known = self._register.known(within=MISSED_SECONDS)
        return self._concerned(self._known)

    def _concerned(self, known: Known) -> Known:
        return known if self._share is None else self._share.narrowed(known)

    def _commit(self, change: Change) -> bool:
        """Commits, trying again as long as the journal has no room; False when the intake is stopped meanwhile."""
        while change:
            try:
                self._journal.commit(change)
                break
            except StorageError as wrong:
                self._in_trouble(wrong)
                if self._stopping.wait(self._pace.retry):
                    return False
        if change:
            self._well()
        self.standing.commit(change)
        return True

    def _tell(self, sitting: Sitting) -> set[str]:
        for note in sitting.notes:
            self._acks.note(note)
            if not note.held:
                self.standing.refusals.pop(note.agent, None)
        return {note.agent for note in sitting.notes}

    def _well(self) -> None:
        if self._trouble:
            log.info("blocks are taken in again")
            self._trouble = ""

    def _in_trouble(self, wrong: StorageError) -> None:
        if not self._trouble:
            log.error("nothing is taken in", why=str(wrong))
        self._trouble = str(wrong)
