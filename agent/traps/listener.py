"""Turns what the trap process heard into events, each through the guard and into the spool, and has its device polled.

The process runs only while the consent grants traps; one that dies is started again with growing pauses. A notice is
told back as stored when its event is committed to the spool, so that an inform is answered only then.

Errors: none; that it cannot listen is in the state, and in the log once.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sys
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from agent.polling.poller import Permit
from agent.reading import Clock, Happening, Sink
from agent.settings import Settings
from agent.settings.credential import Access
from agent.settings.target import Target
from agent.traps import known, pipe
from agent.traps.pipe import Failed, Kept, Notice, Order, Over, Started, Told
from agent.traps.state import State, Tally
from forewarn.telemetry import Log
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape

_log = Log(__name__)
LOOK = 0.5
"""Seconds between two looks at the consent."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
STEADY = 60.0
"""Seconds after which a process that then dies is started again without a long pause."""
ENDS_WITHIN = 3.0
_LAST = 2000
_COMPLAINTS = 10
_OTHERS = 65000
"""Enterprise number of nobody in particular, for an engine of ours (RFC 3411 section 5)."""


class Listener:
    """Hears traps until it is cancelled.

    Args:
        settings: the agent's.
        sink: where events go.
        permit: asked for each notice, and noted; `refuses` is asked the same often, and not noted.
        clock: stamps what is told here.
        nudge: has a device polled soon, by its name.
        kind: what a device is, by its name.
        tell: seconds between two words about a device that sends too much.

    Raises:
        SettingError: a table of traps is wrong.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        sink: Sink,
        permit: Permit,
        refuses: Permit,
        clock: Clock,
        nudge: Callable[[str], None],
        kind: Callable[[str], DeviceKind],
        tell: float = 60.0,
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._permit = permit
        self._refuses = refuses
        self._clock = clock
        self._nudge = nudge
        self._kind = kind
        self._tell = tell
        self._words = known.words(settings.traps.tables)
        self._devices: dict[str, Target] = {}
        for device in settings.devices:
            self._devices.setdefault(pipe.plain(device.address), device)
        self._state = State(why="not started yet")
        self.process: asyncio.subprocess.Process | None = None

    @property
    def state(self) -> State:
        """How it goes."""
        return self._state

    async def run(self) -> None:
        """Has a process hear while the consent grants it; never ends by itself."""
        pause, restarts = FIRST_PAUSE, 0
        while True:
            await self._allowed()
            begun = self._clock.monotonic()
            why = await self._one_process(restarts)
            if self._refuses(Source.TRAP, None) is not None:
                continue
            if self._clock.monotonic() - begun >= STEADY:
                pause = FIRST_PAUSE
            restarts += 1
            self._state = msgspec.structs.replace(self._state, port=0, why=why, restarts=restarts)
            _log.warning("traps are not heard", why=why, again_in_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _allowed(self) -> None:
        """Waits until the consent grants traps; noted once per change."""
        self._permit(Source.TRAP, None)
        while True:
            refusal = self._refuses(Source.TRAP, None)
            if refusal is None:
                self._permit(Source.TRAP, None)
                return
            self._state = msgspec.structs.replace(self._state, port=0, why=str(refusal))
            await asyncio.sleep(LOOK)

    async def _one_process(self, restarts: int) -> str:
        """Serves one process to its end; returns why it ended."""
        try:
            order = pipe.line(await asyncio.to_thread(self._order))
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "agent.traps.receiver",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=pipe.LINE,
                start_new_session=True,
            )
        except OSError as wrong:
            return f"its process cannot be started: {wrong.strerror or wrong}"
        self.process = process
        assert process.stdin is not None
        errors = asyncio.create_task(_last_words(process))
        serving = asyncio.create_task(self._serve(process, order))
        watching = asyncio.create_task(self._until_refused())
        try:
            await asyncio.wait([serving, watching], return_when=asyncio.FIRST_COMPLETED)
            why = serving.result() if serving.done() else "the consent ended"
        finally:
            for task in (serving, watching):
                task.cancel()
            await asyncio.gather(serving, watching, return_exceptions=True)
            process.stdin.close()
            await _ended(process)
            said = await errors
            self._state = State(why="ended", restarts=restarts)
        return why or f"its process ended with {process.returncode}: {said}"

    async def _until_refused(self) -> None:
        while True:
            if self._refuses(Source.TRAP, None) is not None:
                return
            await asyncio.sleep(LOOK)

    async def _serve(self, process: asyncio.subprocess.Process, order: bytes) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(order)
        failed = ""
        while line := await process.stdout.readline():
            try:
                told = pipe.read_told(line)
            except msgspec.DecodeError as wrong:
                return f"its process said what cannot be read: {wrong}"
            if isinstance(told, Failed):
                failed = f"cannot listen on {self._settings.traps.address} port {self._settings.traps.port}: {told.why}"
            elif isinstance(told, Notice):
                stored = await self._take(told)
                process.stdin.write(pipe.line(Kept(told.id, stored)))
            else:
                await self._note(told)
        return failed

    async def _note(self, told: Told) -> None:
        if isinstance(told, Started):
            self._state = msgspec.structs.replace(self._state, port=told.port, why="")
            _log.info("traps are heard", address=self._settings.traps.address, port=told.port)
        elif isinstance(told, Tally):
            self._state = msgspec.structs.replace(self._state, tally=told)
        elif isinstance(told, Over):
            text = {"event": "traps dropped", "zh": "陷阱过多，已丢弃", "severity": "warning", "count": str(told.count)}
            text["why"] = f"more than {self._settings.traps.rate:g} a second"
            await self._put(self._clock.now(), told.address, text)

    async def _take(self, notice: Notice) -> bool:
        """Whether the event is in the spool."""
        device = self._devices.get(notice.address)
        if device is None or self._permit(Source.TRAP, device.address) is not None:
            return False
        text = known.told(notice, self._words)
        stored = await self._put(notice.t, notice.address, text)
        if stored:
            self._nudge(str(device.name))
        return stored

    async def _put(self, t: int, address: str, text: Mapping[str, str]) -> bool:
        device = self._devices[address]
        if self._refuses(Source.TRAP, device.address) is not None:
            return False
        shape = Shape(self._kind(str(device.name)), "trap", Source.TRAP, [])
        await self._sink.put(Happening(t, device.name, "event", shape, dict(text), device.address))
        return True

    def _order(self) -> Order:
        """What the process is told; credentials are read from their files now."""
        given = self._settings.traps
        accesses: list[Access] = []
        known = self._settings.credentials
        shared = [self._access(name, partial(known[name].access, "")) for name in given.credentials]
        sources: dict[str, list[int]] = {}
        for address, device in self._devices.items():
            own = self._access(device.name, device.access)
            sources[address] = [_place(each, accesses) for each in (own, *shared) if each is not None]
        name = f"{self._settings.site}/{self._settings.agent}".encode()
        engine = (0x80000000 | _OTHERS).to_bytes(4, "big") + b"\x05" + hashlib.blake2b(name, digest_size=12).digest()
        return Order(
            address=given.address,
            port=given.port,
            sources=sources,
            accesses=accesses,
            engine=engine.hex(),
            boots=max(1, self._clock.now() // 1000 - 1_700_000_000),
            rate=given.rate,
            burst=given.burst,
            tell=self._tell,
        )

    def _access(self, name: str, read: Callable[[], Access]) -> Access | None:
        try:
            return read()
        except OSError as wrong:
            _log.warning("its traps cannot be read", of=str(name), why=str(wrong))
            return None


def _place(access: Access, accesses: list[Access]) -> int:
    if access not in accesses:
        accesses.append(access)
    return accesses.index(access)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Gives a process whose input ended a moment, then ends it."""
    try:
        async with asyncio.timeout(ENDS_WITHIN):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _last_words(process: asyncio.subprocess.Process) -> str:
    """The last line of what a process complained of; an error of ours that it lived through is in the log too."""
    assert process.stderr is not None
    last, said = b"", 0
    while piece := await process.stderr.read(4096):
        last = (last + piece)[-_LAST:]
        if process.returncode is None and said < _COMPLAINTS:
            said += 1
            _log.warning("the trap process complains", of=_line(last))
    return _line(last)


def _line(text: bytes) -> str:
    lines = text.decode("utf-8", "replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "")
