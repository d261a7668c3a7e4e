"""The engine: batches of the journal in, findings out, state that can be put away and taken up again.

What it decides depends on the rules and on the journal's order alone: not on how batches were cut, not on a clock.

Errors:
    ValueError   a snapshot that this engine cannot take up
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from forewarn.wire import Shape
from rules import snapshots
from rules.evaluating import Evaluation
from rules.finding import Finding
from rules.frames import UNSEEN, Frame, Runs
from rules.functions import FUNCTIONS
from rules.language import Call, Field, Negative, Node, Number
from rules.operators import Operator
from rules.places import Binding, Places
from rules.reasons import finding
from rules.ruleset import Rule, Ruleset
from rules.samples import Batch, Device, Integers, Rows
from rules.stretches import Clocks, Stretch, stretches
from rules.turns import Clock, Turns

Timer = Callable[[], float]
"""Seconds of some clock; the engine only looks at how far it moved."""

TICK_GAP = 30_000
"""Milliseconds between two ticks that count at most: over a longer gap nobody listened."""


class Cost(NamedTuple):
    """What one rule costs: `state_bytes` per series, how many series it holds, and what was done since the engine began.

    An evaluation is one rule judged on one poll of one series. `seconds` are those of the engine's timer.
    """

    rule: str
    version: str
    state_bytes: int
    series: int
    evaluations: int
    seconds: float


def untimed() -> float:
    """The timer of an engine that nobody measures."""
    return 0.0


class RuleState:
    """One rule with all its series."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.evaluations = 0
        self.seconds = 0.0
        self.operators: dict[Call, Operator] = {call: operator(call) for call in rule.calls}
        self.turns = Turns(rule)
        self.places = Places(self._grow)
        self._bindings: dict[str, Binding] = {}

    def _grow(self, slots: int) -> None:
        self.turns.grow(slots)
        for one in self.operators.values():
            one.grow(slots)

    @property
    def state_bytes(self) -> int:
        """Bytes of state per series: state machine and functions."""
        machine = sum(array.itemsize for array in self.turns.state.values())
        return machine + sum(one.state_bytes for one in self.operators.values())

    @property
    def cost(self) -> Cost:
        """What it costs."""
        rule = self.rule
        return Cost(rule.id, rule.version, self.state_bytes, self.places.used, self.evaluations, self.seconds)

    def binding(self, shape: Shape) -> Binding:
        """How this rule reads a shape."""
        bound = self._bindings.get(shape.digest)
        if bound is None:
            bound = self._bindings[shape.digest] = Binding(self.rule, shape, self.places)
        return bound

    def evaluate(self, frame: Frame, whose: Callable[[int], Device]) -> Iterator[Finding]:
        """Takes the rows of a frame; yields what turned. `whose` says which device a row is of."""
        evaluation = Evaluation(self.rule, self.operators, frame)
        warning, critical = evaluation.holds("warning"), evaluation.holds("critical")
        hot = warning if critical is None else critical if warning is None else warning | critical
        assert hot is not None, "a rule has a condition"
        if self.turns.quiet(frame, hot):
            return
        for turned in self.turns.advance(frame, hot, evaluation.codes(warning, critical)):
            yield finding(evaluation, turned, whose(turned.row))

    def arrays(self) -> snapshots.Arrays:
        """All state arrays under names that stay the same for this version of the rule."""
        named = {f"turns.{name}": array for name, array in self.turns.state.items()}
        for at, one in enumerate(self.operators.values()):
            named |= {f"{at}.{name}": array for name, array in one.state.items()}
        return named

    def parts(self) -> snapshots.RuleParts:
        """What is not in arrays."""
        names: dict[tuple[str, ...], int] = {}
        blocks = [
            (device, first, names.setdefault(instances, len(names)))
            for device, own in self.places.blocks.items()
            for first, instances in own
        ]
        clocks = {slot: msgspec.to_builtins(clock) for slot, clock in self.turns.clocks.items()}
        return snapshots.RuleParts(self.places.used, list(names), blocks, clocks)

    def load(self, parts: snapshots.RuleParts, chunks: Sequence[bytes]) -> None:
        """Takes up what `parts` and `snapshots.chunks` of `arrays` put away.

        Raises:
            ValueError: they do not fit.
        """
        self.places.reserve(parts.used)
        for device, first, name in parts.blocks:
            self.places.blocks.setdefault(device, []).append((first, parts.names[name]))
        self.turns.clocks = {slot: msgspec.convert(clock, Clock) for slot, clock in parts.clocks.items()}
        arrays = self.arrays()
        for at, chunk in enumerate(chunks):
            snapshots.put_back(arrays, chunk, at * snapshots.CHUNK)


class Engine:
    """All rules over all series of one shard. What a `timer` says decides nothing: it only measures."""

    def __init__(self, ruleset: Ruleset, *, timer: Timer = untimed) -> None:
        self.ruleset = ruleset
        self._timer = timer
        self._rules = [RuleState(rule) for rule in ruleset.rules]
        self._numbers: dict[Device, int] = {}
        self._known: dict[tuple[str, str], int] = {}
        self._offsets = np.zeros(0, np.int64)
        self._clocks = Clocks()
        self._agents: dict[tuple[str, str], int] = {}
        self._heard: list[int] = []
        self._attested = 0
        """Milliseconds of listening that ticks attest so far; `_heard` is on this scale."""
        self._tick = 0

    @property
    def late(self) -> int:
        """Polls left out because a newer one of their device had been evaluated."""
        return self._clocks.late

    @property
    def state_bytes(self) -> dict[str, int]:
        """Bytes of state per series, by rule."""
        return {state.rule.id: state.state_bytes for state in self._rules}

    def costs(self) -> list[Cost]:
        """What each rule costs."""
        return [state.cost for state in self._rules]

    def apply(self, batch: Batch) -> list[Finding]:
        """Takes the next batch; gives what was decided, ordered by journal position, time, rule and series."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self._applied(batch)

    def _applied(self, batch: Batch) -> list[Finding]:
        found: list[Finding] = []
        for arrival in batch.arrivals:
            self._hear(arrival.site, arrival.agent, arrival.arrived)
        groups = [(rows, self._numbered(rows)) for rows in batch.rows]
        for stretch in stretches(groups, self._clocks, self._offsets):
            for state in self._rules:
                self._judge(state, stretch, found)
        if batch.tick is not None:
            found += self._ticked(batch.tick, batch.last, batch.listened)
        found.sort(key=lambda one: (one.position, one.t, one.rule, one.site, one.device, one.instance))
        return found

    def _judge(self, state: RuleState, stretch: Stretch, found: list[Finding]) -> None:
        binding = state.binding(stretch.shape)
        if not binding.speaks:
            return
        began = self._timer()
        devices = stretch.rows.devices
        found += state.evaluate(binding.frame(stretch), lambda row: devices[stretch.order[row]])
        state.seconds += self._timer() - began
        state.evaluations += len(stretch.t) * len(binding.instances)

    def _numbered(self, rows: Rows) -> Integers:
        """The engine's number of each row's device, int64[n]; new devices get the next ones."""
        count = len(rows.devices)
        try:
            return np.fromiter(map(self._numbers.__getitem__, rows.devices), np.int64, count)
        except KeyError:
            return np.fromiter(map(self._number, rows.devices), np.int64, count)

    def _number(self, device: Device) -> int:
        number = self._numbers.get(device)
        if number is None:
            # A device that another agent takes over keeps its state: a ticket's identity has no agent in it.
            number = self._known.setdefault((device.site, device.device), len(self._known))
            self._numbers[device] = number
            self._make_room(len(self._known))
            self._offsets[number] = _offset(device.site, device.device)
        return number

    def _make_room(self, devices: int) -> None:
        if devices <= len(self._offsets):
            return
        room = max(64, 2 * devices)
        last = np.full(room, UNSEEN)
        last[: len(self._clocks.last)] = self._clocks.last
        self._clocks.last = last
        offsets = np.zeros(room, np.int64)
        offsets[: len(self._offsets)] = self._offsets
        self._offsets = offsets

    def _hear(self, site: str, agent: str, arrived: int) -> None:
        number = self._agents.setdefault((site, agent), len(self._agents))
        at = self._attested + (min(max(arrived - self._tick, 0), TICK_GAP) if self._tick else 0)
        if number == len(self._heard):
            self._heard.append(at)
        else:
            self._heard[number] = max(at, self._heard[number])

    def _ticked(self, tick: int, position: int, listened: int | None) -> Iterator[Finding]:
        """Lets time pass and judges the silence of every agent that was ever heard."""
        if self._tick:
            self._attested += min(max(tick - self._tick, 0), TICK_GAP if listened is None else min(listened, TICK_GAP))
        self._tick = tick
        states = [state for state in self._rules if state.rule.on_ticks]
        if not self._agents or not states:
            return
        agents = [Device(site, agent, agent) for site, agent in self._agents]
        silence = np.maximum(self._attested - np.array(self._heard), 0) / 1000
        count = len(agents)
        runs = Runs(np.arange(count), np.ones(count, np.int64), count, np.arange(count))
        at = np.full(count, tick)
        for state in states:
            began = self._timer()
            slots = [state.places.slots(number, ("",)) for number in range(count)]
            frame = Frame(
                t=at,
                arrived=at,
                position=np.full(count, position),
                runs=runs,
                devices=np.arange(count),
                offsets=np.zeros(count, np.int64),
                slots=np.array(slots),
                instances=("",),
                columns={"": silence[:, None]},
            )
            yield from state.evaluate(frame, agents.__getitem__)
            state.seconds += self._timer() - began
            state.evaluations += count

    def snapshot(self) -> dict[str, bytes]:
        """The whole state in named parts; a part with the same bytes as before need not be written again."""
        encode = msgspec.msgpack.encode
        used = len(self._known)
        kept = snapshots.EngineState(
            format=snapshots.FORMAT,
            devices=list(self._known),
            last=snapshots.packed(self._clocks.last[:used]),
            late=self._clocks.late,
            attested=self._attested,
            tick=self._tick,
            agents=list(self._agents),
            heard=self._heard,
        )
        parts = {"engine": encode(kept)}
        for state in self._rules:
            name = _part(state.rule)
            parts[name] = encode(state.parts())
            for at, chunk in enumerate(snapshots.chunks(state.arrays(), state.places.used)):
                parts[f"{name}.{at}"] = chunk
        return parts

    @classmethod
    def restore(cls, ruleset: Ruleset, parts: Mapping[str, bytes], *, timer: Timer = untimed) -> Engine:
        """Takes up a snapshot. A rule that is new, or means something else than before, begins without state.

        Raises:
            ValueError: the snapshot is damaged or of another form; begin without it and replay the journal.
        """
        engine = cls(ruleset, timer=timer)
        if "engine" not in parts:
            raise ValueError("the snapshot has no part `engine`")
        kept = snapshots.decoded(parts["engine"], snapshots.EngineState)
        if kept.format != snapshots.FORMAT:
            raise ValueError(f"the snapshot has form {kept.format}, this version keeps {snapshots.FORMAT}")
        engine._known = {(site, name): number for number, (site, name) in enumerate(kept.devices)}
        engine._make_room(len(kept.devices))
        engine._clocks.last[: len(kept.devices)] = snapshots.unpacked(kept.last)
        engine._clocks.late = kept.late
        for (site, name), number in engine._known.items():
            engine._offsets[number] = _offset(site, name)
        engine._attested, engine._tick = kept.attested, kept.tick
        engine._agents = {(site, agent): number for number, (site, agent) in enumerate(kept.agents)}
        engine._heard = list(kept.heard)
        for state in engine._rules:
            name = _part(state.rule)
            if name not in parts:
                continue
            own = snapshots.decoded(parts[name], snapshots.RuleParts)
            count = -(-own.used // snapshots.CHUNK)
            missing = [at for at in range(count) if f"{name}.{at}" not in parts]
            if missing:
                raise ValueError(f"the snapshot lacks part `{name}.{missing[0]}`")
            state.load(own, [parts[f"{name}.{at}"] for at in range(count)])
        return engine


def _part(rule: Rule) -> str:
    return f"{rule.id}@{rule.version}"


def _offset(site: str, device: str) -> int:
    """Milliseconds that a device's buckets are shifted by: any, but always the same."""
    return zlib.crc32(f"{site}\0{device}".encode())


def operator(call: Call) -> Operator:
    """Makes the operator of a checked call."""
    return FUNCTIONS[call.name].make(*(_constant(argument) for argument in call.arguments[1:]))


def _constant(node: Node) -> float | str:
    if isinstance(node, Negative):
        return -float(_constant(node.of))
    if isinstance(node, Field):
        return node.name
    assert isinstance(node, Number), "it was checked"
    return node.value
