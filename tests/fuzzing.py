"""Devices that answer anything at all, over the real socket, and what must hold of the agent whatever they answer.

A case is drawn by hypothesis and run by `Answers` or `Recorded`: each raises AssertionError with what was wrong. The
same cases run in the tests by the hundred and in `python -m bench fuzz` by the hundred thousand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import strategies as st

from agent.polling.contact import Contact
from agent.profiles.files import shipped
from agent.reading import Reading
from agent.settings.credential import Access
from agent.settings.target import Target
from agent.snmp.requester import Limits, Requester
from agent.snmp.session import Exchange, SnmpError
from forewarn.demo import ber
from forewarn.demo.responder import Device
from forewarn.settings import Duration
from tests import interpreting
from tests.clocks import SteppedClock
from tests.interpreting import Plain, Possible, answered, shown
from tests.polling import RECORDINGS

Open = Callable[[str, int, Access, float], Exchange]
LONGEST = 20.0
"""Seconds after which a case hangs."""
_TIMEOUT = 0.1
_COLUMN = "1.3.6.1.2.1.2.2.1"
_OBJECTS = {
    f"{_COLUMN}.{column}.{row}": ber.value(65, column * 100 + row) for column in range(1, 5) for row in range(1, 7)
}
_SCALARS = {f"1.3.6.1.2.1.1.{arc}.0": ber.value(tag, said) for arc, tag, said in [(1, 4, "x"), (3, 67, 77), (7, 2, -5)]}
_TAGS = [0x02, 0x04, 0x05, 0x06, 0x30, 0x40, 0x41, 0x42, 0x43, 0x44, 0x46, 0x47, 0x80, 0x81, 0x82, 0x9F, 0xA2, 0x00]
_WHOLE = st.one_of(
    st.sampled_from([-(2**31), -1, 0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]),
    st.integers(-(2**65), 2**65),
)
_TEXTS = [
    b"",
    b"15 PERCENT",
    b"nan",
    b"inf",
    b"1e309",
    b"512 MB",
    b"-1",
    b"\xff\xfe",
    b"0x10",
    b"1_000",
    "在线".encode("gbk"),
]


def _opaque(value: float) -> bytes:
    import struct

    return ber.tlv(0x44, b"\x9f\x78\x04" + struct.pack(">f", value))


CODED: st.SearchStrategy[bytes] = st.one_of(
    st.builds(lambda tag, number: ber.integer(number, tag), st.sampled_from([0x02, 0x41, 0x42, 0x43, 0x46]), _WHOLE),
    st.builds(lambda text: ber.tlv(ber.OCTETS, text), st.one_of(st.sampled_from(_TEXTS), st.binary(max_size=40))),
    st.builds(ber.tlv, st.sampled_from(_TAGS), st.binary(max_size=12)),
    st.builds(_opaque, st.floats(width=32)),
    st.sampled_from([ber.NO_SUCH_OBJECT, ber.NO_SUCH_INSTANCE, ber.END_OF_MIB, b"\x05\x00", ber.tlv(4, b"x" * 1200)]),
    st.binary(max_size=20),
)
"""The octets of a value, or what stands in its place."""
_NAMES = st.one_of(
    st.lists(st.integers(0, 2**33), min_size=1, max_size=20).map(lambda arcs: ".".join(map(str, [1, 3, *arcs]))),
    st.sampled_from([*_OBJECTS, *_SCALARS, _COLUMN, f"{_COLUMN}.2"]),
)


class Bind(NamedTuple):
    """A varbind to answer with: under the name asked for at `place` (with `below` behind it), or under `name`."""

    place: int | None
    below: str
    name: str
    coded: bytes


class Made(NamedTuple):
    """An answer made of parts."""

    version: int
    community: bytes
    pdu: int
    off: int
    """By how much its number is another than asked for."""
    error: int
    index: int
    binds: list[Bind]


class Cut(NamedTuple):
    """A change of some octets: at a share of the length."""

    share: float
    drop: int
    put: bytes


class Answer(NamedTuple):
    """What is sent instead of the right answer: that, or one of parts, or octets; then cut."""

    made: Made | bytes | None
    cuts: list[Cut]


_MOSTLY = st.sampled_from([0] * 12)
_BINDS = st.lists(
    st.builds(
        Bind, st.one_of(st.none(), st.integers(0, 5)), st.sampled_from(["", "", "", ".1", ".0.3", ".9"]), _NAMES, CODED
    ),
    max_size=8,
)
_MADE = st.builds(
    Made,
    version=st.one_of(st.sampled_from([1] * 10), st.integers(-1, 4)),
    community=st.one_of(st.sampled_from([b"public"] * 10), st.binary(max_size=9)),
    pdu=st.one_of(st.sampled_from([0xA2] * 10), st.sampled_from([0xA0, 0xA8, 0x30, 0xA4])),
    off=st.one_of(_MOSTLY, st.integers(-3, 2**31)),
    error=st.one_of(_MOSTLY, st.integers(-1, 300)),
    index=st.one_of(_MOSTLY, st.integers(-1, 300)),
    binds=_BINDS,
)
_CUTS = st.builds(Cut, st.floats(0, 1), st.integers(0, 9), st.one_of(st.binary(max_size=5), st.binary(max_size=300)))
ANSWERS: st.SearchStrategy[Answer] = st.one_of(
    st.builds(Answer, _MADE, st.just([])),
    st.builds(Answer, st.none(), st.lists(_CUTS, min_size=1, max_size=3)),
    st.builds(Answer, _MADE, st.lists(_CUTS, max_size=2)),
    st.builds(Answer, st.binary(max_size=200), st.just([])),
)


class Asked(NamedTuple):
    """What the agent asks: some objects, or a column (by GETBULK of so many, by GETNEXT when 0)."""

    oids: list[str]
    column: str
    repetitions: int


ASKED: st.SearchStrategy[Asked] = st.builds(
    Asked,
    st.lists(st.sampled_from([*_OBJECTS, *_SCALARS, "1.3.6.1.2.1.1.9.0"]), min_size=0, max_size=6, unique=True),
    st.sampled_from([f"{_COLUMN}.1", f"{_COLUMN}.4", _COLUMN]),
    st.sampled_from([0, 3, 20]),
)


def octets(answer: Answer, asked: ber.Request, right: bytes) -> bytes:
    """The octets of an answer to a request, of which `right` is the right one."""
    if answer.made is None:
        sent = right
    elif isinstance(answer.made, bytes):
        sent = answer.made
    else:
        sent = _made(answer.made, asked)
    for cut in answer.cuts:
        at = int(cut.share * len(sent))
        sent = sent[:at] + cut.put + sent[at + cut.drop :]
    return sent[:60_000]


def _made(made: Made, asked: ber.Request) -> bytes:
    binds = b""
    for place, below, name, coded in made.binds:
        content = ber.oid(name)
        if place is not None and asked.oids:
            content = asked.oids[place % len(asked.oids)] + (ber.oid(f"0.0{below}")[1:] if below else b"")
        binds += ber.bind(content, coded)
    head = ber.integer(asked.number + made.off) + ber.integer(made.error) + ber.integer(made.index)
    body = ber.tlv(made.pdu, head + ber.tlv(ber.SEQUENCE, binds))
    return ber.tlv(ber.SEQUENCE, ber.integer(made.version) + ber.tlv(ber.OCTETS, made.community) + body)


@dataclass
class Fuzzed(asyncio.DatagramProtocol):
    """A device that sends its next answers wrong, each with the right one behind it, and then answers well."""

    device: Device
    wrong: list[Answer] = field(default_factory=list)
    told: dict[str, list[Plain]] = field(default_factory=dict)
    """All that its answers may be taken for, by OID."""
    sent: list[str] = field(default_factory=list)
    """Its answers in hexadecimal digits, for people."""
    transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        right = self.device.answer(data)
        if right is None:
            return
        asked = ber.request(data)
        sent = [octets(self.wrong.pop(0), asked, right)] if self.wrong else []
        for datagram in [*sent, right]:
            for oid, values in answered(datagram, asked.number).items():
                self.told.setdefault(oid, []).extend(values)
            self.sent.append(datagram.hex())
            self.transport.sendto(datagram, addr)

    def error_received(self, exc: Exception) -> None:
        pass


class _Cases:
    """Cases over one adapter, on one event loop and one socket of the device."""

    def __init__(self, adapter: Open, device: Device) -> None:
        self._adapter = adapter
        self._runner = asyncio.Runner()
        self._fuzzed = self._runner.run(self._opened(device))
        self._place: tuple[str, int] = self._fuzzed.transport.get_extra_info("sockname")
        self.heard = 0
        """How many values were told in all."""
        self._complaints: list[dict[str, Any]] = []
        self._runner.get_loop().set_exception_handler(self._complain)

    async def _opened(self, device: Device) -> Fuzzed:
        loop = asyncio.get_running_loop()
        _, fuzzed = await loop.create_datagram_endpoint(lambda: Fuzzed(device), local_addr=("127.0.0.1", 0))
        return fuzzed

    def _complain(self, _: object, context: dict[str, Any]) -> None:
        # pysnmp drops what it cannot read by an exception in its own callback: the request then runs out of time.
        if "AbstractTransportDispatcher" not in str(context.get("message")):
            self._complaints.append(context)

    def close(self) -> None:
        """Gives the sockets back."""
        self._fuzzed.transport.close()
        self._runner.close()


class Answers(_Cases):
    """A few objects and a column, asked of a device whose answers are wrong."""

    def __init__(self, adapter: Open) -> None:
        super().__init__(adapter, Device(_OBJECTS | _SCALARS))
        self._session: Requester | None = None

    def close(self) -> None:
        """See `_Cases.close`."""
        if self._session is not None:
            self._runner.run(self._ended(self._session))
        super().close()

    async def _ended(self, session: Requester) -> None:
        session.close()
        await asyncio.sleep(0)

    def run(self, asked: Asked, wrong: list[Answer]) -> None:
        """One case; the session goes on to the next, so that what a late answer does is seen too."""
        self._runner.run(self._asked(asked, wrong))
        assert not self._complaints, self._complaints

    async def _asked(self, asked: Asked, wrong: list[Answer]) -> None:
        self._fuzzed.wrong, self._fuzzed.told, self._fuzzed.sent = list(wrong), {}, []
        if self._session is None:
            exchange = self._adapter(*self._place, Access("2c", "public"), _TIMEOUT)
            self._session = Requester(exchange, retries=0, limits=Limits(max_rows=50))
        try:
            async with asyncio.timeout(LONGEST):
                found = await _found(self._session, asked)
        except TimeoutError:
            raise AssertionError("it hangs") from None
        except SnmpError:
            return
        for oid, value in found.items():
            might = self._fuzzed.told.get(oid, [])
            is_told = any(interpreting.same(value, each) for each in might)
            assert is_told, f"{oid} is {value!r}, told was {might!r} by {self._fuzzed.sent}"
        self.heard += len(found)


async def _found(session: Requester, asked: Asked) -> dict[str, Plain]:
    if asked.oids:
        return await session.get_many(asked.oids)
    session.narrow(max_varbinds=None, nonincreasing_ok=False, bulk=asked.repetitions > 0)
    rows = await session.rows(asked.column, expected=asked.repetitions or None)
    return {f"{asked.column}.{row}": value for row, value in rows.items()}


class Change(NamedTuple):
    """Some object of a recording, or its whole column, with another value (None: gone)."""

    place: int
    column: bool
    coded: bytes | None


CHANGES: st.SearchStrategy[list[Change]] = st.lists(
    st.builds(Change, st.integers(0, 100_000), st.booleans(), st.one_of(st.none(), CODED)), max_size=12
)


class Recorded(_Cases):
    """Recordings of every profile, with other values, polled twice."""

    def __init__(self, adapter: Open) -> None:
        super().__init__(adapter, Device({}))
        self.profiles = sorted(name for name in shipped() if (RECORDINGS / f"{name}.snmprec").exists())
        self._objects = {name: ber.recorded((RECORDINGS / f"{name}.snmprec").read_text()) for name in self.profiles}

    def run(self, profile: str, changes: list[list[Change]]) -> None:
        """One case: a poll after each list of changes."""
        self._runner.run(self._polled(profile, changes))

    async def _polled(self, profile: str, changes: list[list[Change]]) -> None:
        clock, polls = SteppedClock(), []
        contact = self._contact(profile, clock)
        objects = dict(self._objects[profile])
        try:
            for some in changes:
                _change(objects, some)
                device = self._fuzzed.device = Device(dict(objects))
                polls.append(shown(device.objects, clock.monotonic()))
                async with asyncio.timeout(LONGEST):
                    reading = next(each for each in await contact.poll() if isinstance(each, Reading))
                self._judge(profile, reading, polls)
                clock.step(60)
        finally:
            contact.close()
        assert not self._complaints, self._complaints

    def _contact(self, profile: str, clock: SteppedClock) -> Contact:
        address, port = self._place
        target = Target(
            name="it",
            address=address,
            port=port,
            profile=profile,
            interval=Duration(60),
            timeout=Duration(1),
            retries=0,
        )
        access = Access("2c", "public")

        def opened(_: Target) -> Requester:
            return Requester(self._adapter(address, port, access, _TIMEOUT * 2), retries=0)

        return Contact(target, shipped(), open_session=opened, clock=clock)

    def _judge(self, profile: str, reading: Reading, polls: list[interpreting.Shown]) -> None:
        assert "please report it" not in reading.why, reading.why
        possible = Possible(shipped()[profile], polls)
        values = zip(reading.shape.columns(), reading.values, strict=True)
        for (table, instance, name), value in values:
            if value is None or (table == "device" and name in _OURS):
                continue
            assert possible.allows(table, name, value), f"{profile}: {table} {instance} {name} is {value!r}: invented"
            self.heard += 1


_OURS = ("up", "snmp_up", "rtt_seconds", "uptime_seconds", "poll_seconds")
"""What the agent itself knows of a poll."""


def _change(objects: dict[str, bytes], changes: list[Change]) -> None:
    for place, column, coded in changes:
        if not objects:
            return
        oid = sorted(objects)[place % len(objects)]
        prefix = oid.rpartition(".")[0] + "."
        for each in [name for name in objects if name.startswith(prefix)] if column else [oid]:
            if coded is None:
                del objects[each]
            else:
                objects[each] = coded
