"""What hangs on what at a site, made of what its devices say.

The trees are agent ▸ switch ▸ port ▸ device, recorder ▸ channel ▸ camera, UPS ▸ load. Each relation of
`forewarn.vocabulary.LINKS` is judged by itself. Whatever devices say gives a picture: a name that nobody has stands as
unknown with all that hangs on it, and a link that closes a loop is cut and says so.

Errors: none. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from forewarn.vocabulary import LINKS, DeviceKind

_DIGITS = re.compile(r"(\d+)")
_ENDING = re.compile(r"\d+$")


class Standing(StrEnum):
    """Whether a link can be followed."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    """No device of the site has the name that it gives."""
    LOOP = "loop"
    """Following it leads back to where it begins."""


class What(StrEnum):
    """What a row of a tree stands for."""

    AGENT = "agent"
    DEVICE = "device"
    UNKNOWN = "unknown"
    """A name that devices give and nobody has."""
    APART = "apart"
    """The heading, without a name, of the devices that do not say what they hang on."""


class Link(NamedTuple):
    """What a device hangs on, and where on it (a port, a channel; empty when it is not said)."""

    on: str
    at: str
    standing: Standing


class Device(NamedTuple):
    """A device; `links` by relation, without those it does not say."""

    name: str
    kind: str
    agent: str
    links: Mapping[str, Link]


class Branch(NamedTuple):
    """One row of a tree, which lists each branch before its own branches; `link` is what put a device there."""

    depth: int
    what: What
    name: str
    link: Link | None = None


@dataclass(frozen=True)
class Topology:
    """The devices of a site by name, and by relation and name what hangs on each, in the order of ports."""

    devices: Mapping[str, Device]
    loads: Mapping[str, Mapping[str, list[str]]]

    def tree(self, relation: str) -> list[Branch]:
        """The rows of one relation's tree. Every device stands in that of `switch`, below its agent."""
        heads = [device for device in self.devices.values() if self._is_head(device, relation)]
        apart = [device for device in self.devices.values() if self._is_apart(device, relation)]
        unknown = self._unknown(relation)
        if relation != "switch":
            return self._level(relation, 0, heads, list(unknown), apart)
        rows: list[Branch] = []
        agents = {device.agent for device in self.devices.values()}
        for agent in sorted(agents, key=natural):
            rows.append(Branch(0, What.AGENT, agent))
            mine = [[device for device in some if device.agent == agent] for some in (heads, apart)]
            names = [name for name, whose in unknown.items() if whose == agent]
            rows += self._level(relation, 1, mine[0], names, mine[1])
        return rows

    def _level(
        self, relation: str, depth: int, heads: list[Device], unknown: list[str], apart: list[Device]
    ) -> list[Branch]:
        tops = [Branch(depth, What.DEVICE, device.name, device.links.get(relation)) for device in heads]
        tops += [Branch(depth, What.UNKNOWN, name) for name in unknown]
        rows = [row for top in sorted(tops, key=lambda top: natural(top.name)) for row in self._below(relation, top)]
        if apart:
            rows.append(Branch(depth, What.APART, ""))
            rows += [Branch(depth + 1, What.DEVICE, device.name) for device in apart]
        return rows

    def _below(self, relation: str, top: Branch) -> list[Branch]:
        """A branch and all below it. Not by recursion: a chain may be as long as a site has devices."""
        rows: list[Branch] = []
        waiting = [top]
        while waiting:
            branch = waiting.pop()
            rows.append(branch)
            for name in reversed(self.loads[relation].get(branch.name, [])):
                link = self.devices[name].links[relation]
                waiting.append(Branch(branch.depth + 1, What.DEVICE, name, link))
        return rows

    def _is_head(self, device: Device, relation: str) -> bool:
        link = device.links.get(relation)
        if link is not None:
            return link.standing is Standing.LOOP
        return device.kind == relation or device.name in self.loads[relation]

    def _is_apart(self, device: Device, relation: str) -> bool:
        """Whether it hangs on nothing, and is of a kind that should."""
        counts = device.kind == DeviceKind.CAMERA if relation == "recorder" else True
        return counts and relation not in device.links and not self._is_head(device, relation)

    def _unknown(self, relation: str) -> dict[str, str]:
        """The names that nobody has, each with the agent of the first device that gives it."""
        found: dict[str, str] = {}
        for device in self.devices.values():
            link = device.links.get(relation)
            if link is not None and link.standing is Standing.UNKNOWN:
                found.setdefault(link.on, device.agent)
        return found


def topology(devices: Iterable[Mapping[Any, Any]]) -> Topology:
    """Reads the devices of one site.

    Args:
        devices: each with `device`, `kind`, `agent` and `inventory`, as the register has them.
    """
    rows = sorted(devices, key=lambda row: natural(row["device"]))
    rows = [row for row in rows if row["kind"] != DeviceKind.AGENT]
    names = {row["device"] for row in rows}
    links: dict[str, dict[str, Link]] = {name: {} for name in names}
    for relation, place in LINKS.items():
        on = {row["device"]: text for row in rows if (text := _said(row, relation))}
        around = _around(on)
        for row in rows:
            name = row["device"]
            if name in on:
                known = Standing.KNOWN if on[name] in names else Standing.UNKNOWN
                standing = Standing.LOOP if name in around else known
                links[name][relation] = Link(on[name], _said(row, place), standing)
    found = {row["device"]: Device(row["device"], row["kind"], row["agent"], links[row["device"]]) for row in rows}
    return Topology(found, {relation: _loads(found, relation) for relation in LINKS})


def _said(row: Mapping[Any, Any], word: str) -> str:
    text = row["inventory"].get(word) if word else None
    return text.strip() if isinstance(text, str) else ""


def _around(on: Mapping[str, str]) -> set[str]:
    """The names from which following `on` leads back to themselves."""
    found: set[str] = set()
    seen: set[str] = set()
    for name in on:
        way: dict[str, None] = {}
        at = name
        while at in on and at not in seen:
            seen.add(at)
            way[at] = None
            at = on[at]
        if at in way:
            steps = list(way)
            found.update(steps[steps.index(at) :])
    return found


def _loads(devices: Mapping[str, Device], relation: str) -> dict[str, list[str]]:
    loads: dict[str, list[Device]] = {}
    for device in devices.values():
        link = device.links.get(relation)
        if link is not None and link.standing is not Standing.LOOP:
            loads.setdefault(link.on, []).append(device)
    return {
        name: [one.name for one in sorted(some, key=lambda one: natural(one.links[relation].at))]
        for name, some in loads.items()
    }


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts as people count: port 2 before port 10."""
    parts = (part for part in _DIGITS.split(text.lower()) if part)
    return tuple((1, len(_bare(part)), _bare(part)) if part.isdecimal() else (0, 0, part) for part in parts)


def port_of(text: str, ports: Iterable[str]) -> str | None:
    """Which of a switch's ports a person means: its name, or its number where only one port ends with it."""
    known = sorted(set(ports))
    alike = [port for port in known if port.lower() == text.lower()]
    if len(alike) != 1 and text.isdecimal():
        ends = ((port, _ENDING.search(port)) for port in known)
        alike = [port for port, end in ends if end is not None and _bare(end[0]) == _bare(text)]
    return alike[0] if len(alike) == 1 else None


def _bare(digits: str) -> str:
    """A number of any length without its leading zeros."""
    return digits.lstrip("0")
