"""Many agents' delivery in one process: each with its real spool, guard, uplink and connection, without devices.

Run as `python -m bench._crowd FILE`, it reads a line from standard input for each thing to do, and answers it with one
line of JSON: `put N` puts N records into every spool, `mark` begins to count anew what is sent twice, `look` tells how
all stand.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from agent.app import SystemClock
from agent.delivery.cutting import Identity
from agent.delivery.pace import Tempo
from agent.delivery.presence import Presences
from agent.delivery.spool import Spool
from agent.delivery.spoolfile import Piece
from agent.delivery.uplink import Uplink
from agent.guard import Guard
from bench._pipeline import CAMERA, values
from bench._processes import CONSENT, ROOT, SITE, Site
from forewarn import signals
from forewarn.bus import Broker
from forewarn.bus.mqtt import MqttBus
from forewarn.wire import Record

DEVICES = 20


class Member(msgspec.Struct):
    """One agent."""

    name: str
    secret: str
    shard: int


class Plan(msgspec.Struct):
    """What a crowd needs to know."""

    folder: str
    port: int
    trusted: str
    members: list[Member]


class Sums(msgspec.Struct):
    """How a crowd stands: `level` agents have everything committed, `twice` counts blocks sent again."""

    agents: int
    connected: int
    level: int
    blocks: int
    twice: int
    rewinds: int


class Crowd:
    """A crowd's process, from outside."""

    def __init__(self, site: Site, name: str, members: list[Member]) -> None:
        folder = site.folder / name
        folder.mkdir()
        (folder / "consent.json").write_bytes(site.consent)
        plan = Plan(str(folder), site.port, site.trusted, members)
        (folder / "plan.json").write_bytes(msgspec.json.encode(plan))
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench._crowd", str(folder / "plan.json")],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ask(self, what: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `answer` says why it ended.
            self._process.stdin.write(f"{what}\n")
            self._process.stdin.flush()

    def answer(self) -> Sums:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a crowd of agents ended: {self._log.read_text(errors='replace')[-2000:]}")
        return msgspec.json.decode(line, type=Sums)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


class One:
    """One agent of the crowd."""

    def __init__(self, plan: Plan, member: Member) -> None:
        folder = Path(plan.folder) / member.name
        folder.mkdir()
        clock = SystemClock()
        self.name = member.name
        self.guard = Guard(folder, Path(plan.folder) / "consent.json", site=SITE, trusted=[plan.trusted], clock=clock)
        self.spool = Spool(folder / "spool", clock=clock)
        boot = f"B{random.getrandbits(60):015X}"
        who = Identity(SITE, member.name, member.shard, signals.derive(member.secret, "ack"), boot)
        self.uplink = Uplink(
            MqttBus(Broker(host="127.0.0.1", port=plan.port), member.name),
            self.spool,
            self.guard,
            who=who,
            presences=Presences(folder, member.name, boot),
            clock=clock,
            tempo=Tempo(),
            log_book=self,
        )
        self.twice = 0
        self._reached = 0
        self._chance = random.Random(member.name)

    def left(self, piece: Piece, payload: bytes) -> None:
        """A block goes."""
        del payload
        self.twice += piece.first <= self._reached
        self._reached = max(self._reached, piece.last)

    def confirmed(self, epoch: str, upto: int) -> None:
        """Nothing to note."""

    def mark(self) -> None:
        self.twice, self._reached = 0, self.spool.standing.acked

    async def put(self, count: int) -> None:
        t = int(time.time() * 1000)
        records = [
            Record(0, t + at, f"{self.name}.{at % DEVICES}", values=values(CAMERA, self._chance)) for at in range(count)
        ]
        await asyncio.gather(*(self.spool.put(record, CAMERA, CONSENT) for record in records))


async def crowded(plan: Plan) -> None:
    everyone = [One(plan, member) for member in plan.members]
    tasks = []
    for one in everyone:
        await one.spool.open()
        tasks.append(asyncio.create_task(one.uplink.run()))
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        what, _, number = line.strip().partition(" ")
        if what == "put":
            for one in everyone:
                await one.put(int(number))
        elif what == "mark":
            for one in everyone:
                one.mark()
        print(msgspec.json.encode(summed(everyone)).decode(), flush=True)


def summed(everyone: list[One]) -> Sums:
    stands = [(one.uplink.status, one.spool.standing) for one in everyone]
    return Sums(
        agents=len(everyone),
        connected=sum(status.connected for status, _ in stands),
        level=sum(standing.acked == standing.head for _, standing in stands),
        blocks=sum(status.blocks for status, _ in stands),
        twice=sum(one.twice for one in everyone),
        rewinds=sum(status.rewinds for status, _ in stands),
    )


def main() -> None:
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536) if most > 0 else 65536, most))
    asyncio.run(crowded(plan))


if __name__ == "__main__":
    main()
