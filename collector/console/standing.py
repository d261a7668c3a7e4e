"""How devices are, by their open tickets and their newest values, and how the ports of switches are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from collector.console.reads import STALE_MS, Open
from collector.series.store import SeriesKey
from collector.topology import natural, port_of

Newest = Mapping[SeriesKey, tuple[int, float]]
RANK = {"critical": 0, "down": 1, "warning": 2, "unknown": 3, "up": 4}
"""The states of a device, worst first."""


class Seen(NamedTuple):
    """How a device is.

    `state` is one of RANK; `last` when it last said anything (Unix milliseconds, 0: never); `reached` whether its last
    poll reached it, None when that is too old to tell or it is not polled over the network.
    """

    state: str
    last: int
    reached: bool | None


class Port(NamedTuple):
    """A switch's port: its link, None when that is too old to tell, and the power it gives, None when it gives none."""

    name: str
    up: bool | None
    watts: float | None


def seeing(newest: Newest, opened: Mapping[str, Open], now: int) -> Callable[[str], Seen]:
    """What tells of any device how it is now."""
    polls = {key.device: newest[key] for key in newest if (key.table, key.field) == ("device", "up")}
    latest: dict[str, int] = {}
    for key, (t, _) in newest.items():
        latest[key.device] = max(latest.get(key.device, 0), t)

    def seen(device: str) -> Seen:
        poll, last = polls.get(device), latest.get(device, 0)
        fresh = poll is not None and now - poll[0] <= STALE_MS
        reached = bool(poll[1]) if poll is not None and fresh else None
        return Seen(standing(poll, last, opened.get(device, Open()), now), last, reached)

    return seen


def standing(poll: tuple[int, float] | None, latest: int, opened: Open, now: int) -> str:
    """How a device is: its worst open ticket, else up or down by its last poll; unknown when that is too old."""
    if opened.worst:
        return opened.worst
    if now - latest > STALE_MS:
        return "unknown"
    # The agent's own machine is not polled over the network: that its values are fresh is all there is to say.
    return "up" if poll is None or poll[1] else "down"


class Ports:
    """The ports of a site's switches, found by what people call them."""

    def __init__(self, newest: Newest, now: int) -> None:
        self._now = now
        self._links: dict[str, dict[str, tuple[int, float]]] = {}
        self._power: dict[str, dict[str, tuple[int, float]]] = {}
        for key, value in newest.items():
            if (key.table, key.field) == ("interface", "up"):
                self._links.setdefault(key.device, {})[key.instance] = value
            elif (key.table, key.field) == ("poe", "power_watts"):
                self._power.setdefault(key.device, {})[key.instance] = value

    def find(self, switch: str, said: str) -> Port | None:
        """The port that `said` means, None when the switch has none such."""
        links, power = self._links.get(switch, {}), self._power.get(switch, {})
        name = port_of(said, links)
        if name is None:
            return None
        ending = natural(name)[-1][2] if natural(name) else ""
        feeding = name if name in power else port_of(ending, power)
        up = self._fresh(links[name])
        return Port(name, None if up is None else bool(up), self._fresh(power[feeding]) if feeding else None)

    def _fresh(self, value: tuple[int, float]) -> float | None:
        return value[1] if self._now - value[0] <= STALE_MS else None
