"""What hangs on what, as a tree of a site and as a device's own place: a fault behind a healthy port is seen at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from nicegui import ui

from collector.console.frame import TONES, card, facts, path
from collector.console.listing import Cell, Column, Listing, Row, listed
from collector.console.reads import Open
from collector.console.standing import RANK, Newest, Port, Ports, Seen, seeing
from collector.console.units import measured
from collector.console.visit import Visit
from collector.topology import Branch, Device, Standing, Topology, What, topology
from forewarn.vocabulary import LINKS

_TROUBLE = ("critical", "down", "warning")


class Remark(NamedTuple):
    """What is to be said of a device's place, as a word of the console; `loud` when it is to be seen at once."""

    word: str
    loud: bool


@dataclass(frozen=True)
class Picture:
    """The devices of a site, how they hang together, and how each is."""

    site: str
    names: frozenset[str]
    """Of everything that has a page."""
    topology: Topology
    seen: Callable[[str], Seen]
    ports: Ports
    open: Mapping[str, Open]

    def port(self, device: Device) -> Port | None:
        """The switch's port it hangs on, None when that is not said or not known."""
        link = device.links.get("switch")
        return self.ports.find(link.on, link.at) if link is not None and link.at else None

    def remark(self, device: Device) -> Remark | None:
        """What its place says of a device that cannot be reached, or of a link that leads nowhere."""
        link = device.links.get("switch")
        if link is not None and self.seen(device.name).reached is False:
            if self.seen(link.on).reached is False:
                return Remark("place_switch_dark", loud=False)
            port = self.port(device)
            if port is not None and port.up is not None:
                return Remark("place_port_up" if port.up else "place_port_down", loud=True)
        if any(link.standing is Standing.LOOP for link in device.links.values()):
            return Remark("place_loop", loud=True)
        return None


def picture(
    site: str, devices: Collection[Mapping[Any, Any]], opened: Mapping[str, Open], newest: Newest, now: int
) -> Picture:
    """Puts together what the register and the store know of a site; `now` is Unix milliseconds."""
    names = frozenset(row["device"] for row in devices)
    return Picture(site, names, topology(devices), seeing(newest, opened, now), Ports(newest, now), opened)


class Tree:
    """The tree of a site: by switch, by recorder or by UPS, all of it or only what is in trouble."""

    def __init__(self, visit: Visit, shown: Picture) -> None:
        self._visit, self._picture = visit, shown
        self._relation, self._trouble = next(iter(LINKS)), False

    def show(self) -> None:
        """Draws the tree with its choices; a line in its place when no device says what it hangs on."""
        say = self._visit.say
        if not any(device.links for device in self._picture.topology.devices.values()):
            with card(say("topology")):
                ui.label(say("topology_none")).classes("fw-soft")
            return
        with ui.column().classes("w-full gap-1 fw-tree"):
            ui.label(say("topology")).classes("fw-title")
            with ui.row().classes("fw-tools"):
                by = ui.toggle({relation: say(f"by_{relation}") for relation in LINKS}, value=self._relation)
                by.props("dense no-caps unelevated toggle-color=primary").on_value_change(self._turned)
                ui.checkbox(say("only_trouble")).props("dense").on_value_change(self._narrowed)
                ui.space()
                tools = ui.row()
            file = f"topology-{self._picture.site}"
            self._listing = Listing(self._visit, self._columns(), self._rows(), file, pages=False, sorts=False)
            with tools:
                self._listing.export_button()

    def _turned(self, event: Any) -> None:
        self._relation = event.value
        self._listing.change(self._rows())

    def _narrowed(self, event: Any) -> None:
        self._trouble = bool(event.value)
        self._listing.change(self._rows())

    def _columns(self) -> list[Column]:
        say = self._visit.say
        return [
            Column("device", say("device"), "long"),
            Column("at", say("place_at")),
            Column("state", say("state")),
            Column("kind", say("kind"), wide=True),
            Column("open", say("open_tickets"), "number", wide=True),
        ]

    def _rows(self) -> list[Row]:
        branches = self._picture.topology.tree(self._relation)
        if self._trouble:
            branches = _to_trouble(branches, self._in_trouble)
        way: list[str] = []
        rows = []
        for branch in branches:
            del way[branch.depth :]
            way.append(branch.name or self._visit.say(f"apart_{self._relation}"))
            rows.append(self._row(branch, " / ".join(way[-4:])))
        return rows

    def _in_trouble(self, branch: Branch) -> bool:
        if branch.what is not What.DEVICE:
            return branch.what is What.UNKNOWN
        device = self._picture.topology.devices[branch.name]
        return self._picture.seen(branch.name).state in _TROUBLE or self._picture.remark(device) is not None

    def _row(self, branch: Branch, way: str) -> Row:
        say, shown = self._visit.say, self._picture
        nothing = Cell("")
        if branch.what is not What.DEVICE:
            name = branch.name or say(f"apart_{self._relation}")
            to = path("sites", shown.site, name) if branch.what is What.AGENT and name in shown.names else ""
            under = say("place_unknown") if branch.what is What.UNKNOWN else ""
            kind = Cell(say("kind_agent")) if branch.what is What.AGENT else nothing
            cell = Cell(name, to=to, under=under, saved=way, depth=branch.depth, loud=True, tone="" if to else "soft")
            return {"device": cell, "at": nothing, "state": nothing, "kind": kind, "open": nothing}
        device = shown.topology.devices[branch.name]
        cells = device_cells(self._visit, shown, device)
        at = at_cell(self._visit, shown, device, self._relation)
        return {**cells, "device": cells["device"]._replace(saved=way, depth=branch.depth), "at": at}


def _to_trouble(branches: list[Branch], troubled: Callable[[Branch], bool]) -> list[Branch]:
    """What is in trouble, with what it hangs on."""
    kept: list[Branch] = []
    depth = 0
    for branch in reversed(branches):
        if troubled(branch) or branch.depth < depth:
            kept.append(branch)
            depth = branch.depth
    return kept[::-1]


def device_cells(visit: Visit, shown: Picture, device: Device) -> Row:
    """A device as cells: its name, its state with what its place says of it, its kind, its open tickets."""
    say, seen, remark = visit.say, shown.seen(device.name), shown.remark(device)
    mine = shown.open.get(device.name, Open())
    told = say(remark.word) if remark else ""
    state = Cell(say(seen.state), RANK[seen.state], tone=TONES.get(seen.state, ""), badge=True, under=told)
    return {
        "device": Cell(device.name, device.name.lower(), path("sites", shown.site, device.name)),
        "state": state._replace(
            loud=remark is not None and remark.loud, saved=f"{state.shown}: {told}" if told else ""
        ),
        "kind": Cell(say(f"kind_{device.kind}")),
        "open": Cell(str(mine.critical + mine.warning), mine.critical + mine.warning),
    }


def at_cell(visit: Visit, shown: Picture, device: Device, relation: str) -> Cell:
    """Where on a switch or recorder a device hangs, with how that port is."""
    link = device.links.get(relation)
    if link is None:
        return Cell("")
    port = shown.port(device) if relation == "switch" else None
    if port is None:
        return Cell(link.at)
    how = port_words(visit, port)
    return Cell(link.at, under=how, loud=port.up is False, saved=f"{link.at} ({how})")


def port_words(visit: Visit, port: Port) -> str:
    """How a port is: its link, and the power it gives."""
    link = "port_unknown" if port.up is None else "port_up" if port.up else "port_down"
    power = [measured(port.watts, "W", visit.say)] if port.watts else []
    return " · ".join([visit.say(link), *power])


def place(visit: Visit, shown: Picture, name: str) -> None:
    """A device's own place: what it hangs on, and what hangs on it. Nothing when neither is known."""
    say, device = visit.say, shown.topology.devices.get(name)
    loads = {relation: names for relation in LINKS if (names := shown.topology.loads[relation].get(name))}
    if device is None or not (device.links or loads):
        return
    with card(say("place")):
        facts(_on(visit, shown, device))
        remark = shown.remark(device)
        if remark is not None:
            ui.label(say(remark.word)).classes("fw-bad" if remark.loud else "fw-soft")
    columns = [Column("device", say("device"), "long"), Column("at", say("place_at")), Column("state", say("state"))]
    for relation, names in loads.items():
        rows = []
        for load in (shown.topology.devices[one] for one in names):
            cells = device_cells(visit, shown, load)
            rows.append({**cells, "at": at_cell(visit, shown, load, relation)})
        listed(visit, f"{say(f'loads_{relation}')} · {len(rows)}", columns, rows, f"{relation}-{name}")


def _on(visit: Visit, shown: Picture, device: Device) -> list[tuple[str, str, str]]:
    lines = []
    for relation, link in device.links.items():
        to = path("sites", shown.site, link.on) if link.on in shown.topology.devices else ""
        at = visit.say("channel_at", at=link.at) if link.at and relation == "recorder" else link.at
        where = " · ".join(filter(None, (link.on, at)))
        if link.standing is Standing.UNKNOWN:
            where += f" ({visit.say('place_unknown')})"
        lines.append((visit.say(f"on_{relation}"), where, to))
    port = shown.port(device)
    if port is not None:
        lines.append((visit.say("port"), port_words(visit, port), ""))
    return lines
