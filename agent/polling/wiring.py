"""Which device hangs on which switch port, found from what all switches of the agent tell, and told in the inventory.

A sink before the sink: what goes to the inventory passes here. Each switch tells its neighbours (`agent.polling.neighbours`);
once every device was heard, or had time enough to be, they are joined (switches among each other as well), and a
device's inventory says `switch`, `switch_port`, `poe_port` where the switch feeds it, and `switch_found_by` (lldp or
fdb). What the settings say by hand is never changed. When a link is found or moves after the inventory was told, it is
told again with the device's next reading, so that nothing is said of a device outside its own permitted polls.

A link stays until another is found: a dark camera's address is soon forgotten by its switch, and just then it matters
where it hangs. It moves only when the switch that it named has spoken since the agent's start.

Errors: those of the sink behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from agent.devices.remembered import Memory
from agent.polling import joining, nearby, neighbours
from agent.polling.joining import Link
from agent.polling.neighbours import Neighbour
from agent.reading import Happening, Reading, Sink
from agent.settings.target import Target
from forewarn.telemetry import Log

_ROUNDS = 2
"""A device that was not heard in so many of the longest intervals is not waited for."""
_log = Log(__name__)


class Wiring:
    """A Sink for the devices of one agent.

    Args:
        devices: all of them.
        sink: where everything goes on to.
        memory: where each was last found, across restarts.
        known: MAC addresses by IP address, for devices that do not tell their own.
    """

    def __init__(
        self,
        devices: Sequence[Target],
        *,
        sink: Sink,
        memory: Memory,
        known: Callable[[], Mapping[str, str]] = nearby.macs,
    ) -> None:
        self._targets = {str(each.name): each for each in devices}
        self._sink = sink
        self._memory = memory.devices
        self._known = known
        self._patience = _ROUNDS * 1000 * max((float(each.interval) for each in devices), default=0.0)
        self._began: int | None = None
        self._heard: set[str] = set()
        self._switches: dict[str, list[Neighbour]] = {}
        self._inventory: dict[str, Happening] = {}
        self._told: dict[str, dict[str, str]] = {}
        self._stale = False

    async def put(self, item: Reading | Happening) -> None:
        """See Sink."""
        name = str(item.device)
        if name not in self._targets:
            await self._sink.put(item)
            return
        if isinstance(item, Happening):
            if item.kind == "inventory":
                self._learn(name, item)
                self._join()
                item = self._told_now(name, item)
            await self._sink.put(item)
            return
        self._began = item.t if self._began is None else self._began
        self._heard.add(name)
        if item.t - self._began >= self._patience:
            self._heard |= self._targets.keys()
        self._join()
        await self._sink.put(item)
        last = self._inventory.get(name)
        if last is not None and self._told.get(name) != self._words(name):
            await self._sink.put(self._told_now(name, replace(last, t=item.t)))

    def _learn(self, name: str, item: Happening) -> None:
        self._inventory[name], self._stale = item, True
        around = neighbours.said(item.text.get("neighbours", ""))
        if around:
            self._switches[name] = around

    def _told_now(self, name: str, item: Happening) -> Happening:
        words = self._told[name] = self._words(name)
        return replace(item, text=item.text | words)

    def _words(self, name: str) -> dict[str, str]:
        """What was found of a device, as far as the settings leave it open."""
        target, link = self._targets[name], self._memory[name].link
        found_on = link.get("switch")
        if found_on not in self._targets or target.switch_port is not None:
            return {}
        return dict(link) if target.switch is None or str(target.switch) == found_on else {}

    def _join(self) -> None:
        if not self._stale or not self._heard >= self._targets.keys():
            return
        self._stale = False
        beside = self._known() if self._switches else {}
        macs, names = {}, {}
        for name, target in self._targets.items():
            told = self._inventory[name].text if name in self._inventory else {}
            macs[name] = told.get("mac", "") or beside.get(target.address, "")
            names[name] = told.get("name", "")
        found = joining.links(self._switches, macs, names) | joining.uplinks(self._switches, macs, names)
        for name, link in found.items():
            self._found(name, link)

    def _found(self, name: str, link: Link) -> None:
        words = {"switch": link.switch, "switch_port": link.port, "switch_found_by": link.by}
        if link.poe_port:
            words["poe_port"] = link.poe_port
        before = self._memory[name].link
        on = before.get("switch")
        if words == before or (on in self._targets and on not in self._switches):
            return
        self._memory[name].link = words
        if self._memory[link.switch].link.get("switch") == name:
            self._memory[link.switch].link = {}  # It was the other way round before: both at once is a loop.
        place = f"{link.switch} {link.port}"
        if place != f"{on} {before.get('switch_port')}":
            _log.info("found where a device hangs", device=name, on=place, by=link.by)
