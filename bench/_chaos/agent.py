"""The agent as `forewarn agent run` composes it, with three things of the bench's own around it.

Its bus has gates; what its spool promised is written down beside it (the tap); and a script of days goes through its
door as if devices had said so, beside those it really polls. Run as `python -m bench._chaos.agent SETTINGS GATE PLAN`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agent import settings as written
from agent.app import Agent, SystemClock, build, find_profiles
from agent.delivery.door import Door
from agent.delivery.spool import Spool
from agent.polling.reach import reached
from agent.snmp.opening import opener
from bench._chaos import script
from bench._chaos.bus import WrappedBus
from bench._chaos.gate import PUBACK, PUBLISHING, Gate
from forewarn import telemetry
from forewarn.bus import Bus
from forewarn.bus.mqtt import MqttBus
from forewarn.wire import Record, Shape

TAP = "tap"
"""Beside the settings: one line a promise, `[epoch, seq, device, t, [values]]`."""
RUSH = 25
"""Steps put together when nobody wants to kill anything any more."""


class Plan(msgspec.Struct):
    """Steps of the script, when the first was (Unix milliseconds), and seconds between two of them."""

    begin: int
    steps: int
    pace: float
    rush: bool = False


class GatedBus(WrappedBus):
    """Stops after a block was handed over, and when the broker has acknowledged one."""

    def __init__(self, bus: Bus, gate: Gate) -> None:
        super().__init__(bus)
        self._gate = gate

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> Future[None]:
        done = self.inner.publish(topic, payload, retain=retain)
        if topic.startswith("fw/1/t/"):
            done.add_done_callback(self._acknowledged)
            self._gate.reach(PUBLISHING)
        return done

    def _acknowledged(self, done: Future[None]) -> None:
        if not done.cancelled() and done.exception() is None:
            self._gate.reach(PUBACK)


Put = Callable[[Record, Shape | None, str], Coroutine[Any, Any, int]]


def tapped(spool: Spool, file: Path) -> Put:
    """The spool's `put`, with every promise written down; a kill between both leaves a record more, never one less."""
    put = spool.put
    out = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)

    async def noted(record: Record, shape: Shape | None, consent: str) -> int:
        values, device, t = list(record.values), record.device, record.t
        seq = await put(record, shape, consent)
        os.write(out, json.dumps([spool.standing.epoch, seq, device, t, values]).encode() + b"\n")
        return seq

    return noted


class Promise(NamedTuple):
    """A line of the tap."""

    epoch: str
    seq: int
    device: str
    t: int
    values: list[float | None]


def promises(file: Path) -> list[Promise]:
    """What the tap holds; a line that a kill cut short was not heard by anybody."""
    if not file.exists():
        return []
    lines = file.read_text().split("\n")
    return [Promise(*json.loads(line)) for line in lines[:-1]]


class Days:
    """Puts the script through the door, from the first step that the tap does not have whole."""

    def __init__(self, plan: Plan, door: Door, tap: Path) -> None:
        self._plan = plan
        self._door = door
        self._step = _next_step(plan, tap)
        self.paused = False
        self.rush = plan.rush

    def heard(self, word: str) -> None:
        """A word of the director: pause, on, rush."""
        self.paused = word == "pause"
        self.rush = self.rush or word == "rush"

    async def run(self) -> None:
        while self._step < self._plan.steps:
            if self.paused:
                await asyncio.sleep(0.02)
                continue
            end = min(self._plan.steps, self._step + (RUSH if self.rush else 1))
            steps = range(self._step, end)
            polls = [script.polled(device, step, self._plan.begin) for step in steps for device in script.DEVICES]
            await asyncio.gather(*(self._door.put(poll) for poll in polls))
            self._step = end
            if not self.rush:
                await asyncio.sleep(self._plan.pace)
        await asyncio.Event().wait()


def _next_step(plan: Plan, tap: Path) -> int:
    done: dict[str, int] = {}
    for promise in promises(tap):
        if promise.device.startswith(script.PREFIX):
            done[promise.device] = max(done.get(promise.device, -1), (promise.t - plan.begin) // script.STEP)
    return min((done.get(device, -1) for device in script.DEVICES), default=-1) + 1


async def _until_told(agent: Agent) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await agent.run(stop)


def main(config: Path, address: Path, plan: Path) -> int:
    settings = written.load(config)
    telemetry.start(settings.log)
    days: list[Days] = []

    def heard(word: str) -> None:
        for one in days:
            one.heard(word)

    gate = Gate(address, "agent", heard)
    agent = build(
        settings,
        bus=GatedBus(MqttBus(settings.as_user(), settings.agent), gate),
        clock=SystemClock(),
        profiles=find_profiles(settings),
        open_session=opener(settings.polling.in_flight),
        reach=reached,
    )
    tap = config.parent / TAP
    agent.spool.put = tapped(agent.spool, tap)  # type: ignore[method-assign, assignment]
    door = Door(agent.guard, agent.spool, SystemClock())
    days.append(Days(msgspec.json.decode(plan.read_bytes(), type=Plan), door, tap))
    agent.parts.append(days[0].run)
    asyncio.run(_until_told(agent))
    return 0


if __name__ == "__main__":
    sys.exit(main(*(Path(word) for word in sys.argv[1:])))
