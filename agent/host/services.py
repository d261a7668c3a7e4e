"""Named services and processes: whether they run, how often they were started anew, what they use.

Services are those of systemd (`systemctl show`, one call for all, no D-Bus of ours) or of Windows (written, not run on
Windows). Processes are found by a regular expression in their command line.
Source: systemctl(1), systemd.service(5): NRestarts, ActiveState, MemoryCurrent, CPUUsageNSec.

Errors: none; what cannot be asked is null and told under `unread`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agent.host.children import Asking
from agent.host.parts import Part, Row, Tables, Unread
from agent.host.system import Process, Spent, System

_WITHIN = 5.0
_PROPERTIES = ("LoadState", "ActiveState", "NRestarts", "MemoryCurrent", "CPUUsageNSec", "MainPID")
_UNSET = 2**64 - 1
"""What systemd prints for a number that it does not keep, where it does not print `[not set]`."""
_RUNNING = ("active", "reloading", "refreshing")


class Services(Part):
    """The table `service`, of what systemd or Windows keeps running."""

    def __init__(self, names: Sequence[str], system: System, asking: Asking) -> None:
        self._names = list(names)
        self._system = system
        self._asking = asking
        self._unread: list[Unread] = []
        self._spent: dict[str, float] = {}
        self._started: dict[str, tuple[int, int]] = {}

    def unread(self) -> Sequence[Unread]:
        """Services there are none of, or nobody to ask for them."""
        return self._unread

    def read(self, seconds: float | None) -> Tables:
        """How each stands."""
        if not self._names:
            return {}
        self._unread = []
        rows = self._of_windows(seconds) if self._system.has_windows_services() else self._of_systemd(seconds)
        return {"service": rows}

    def _of_systemd(self, seconds: float | None) -> dict[str, Row]:
        told = self._show()
        rows: dict[str, Row] = {}
        for name in self._names:
            row = _nothing()
            state = told.get(name)
            if state is not None and state.get("LoadState") == "not-found":
                self._lacks(name, "see `systemctl list-units --type=service --all`")
            elif state is not None and state.get("ActiveState"):
                row["running"] = float(state["ActiveState"] in _RUNNING)
                row["restarts"] = _number(state.get("NRestarts"))
                row["resident_bytes"] = _number(state.get("MemoryCurrent"))
                nanoseconds = _number(state.get("CPUUsageNSec"))
                row["cpu_percent"] = self._busy(name, nanoseconds / 1e9 if nanoseconds is not None else None, seconds)
            rows[name] = row
        return rows

    def _show(self) -> dict[str, dict[str, str]]:
        systemctl = self._asking.find("systemctl")
        if systemctl is None:
            self._unread.append(Unread("services", "systemctl is not here", "take `services` out, name `processes`"))
            return {}
        units = [name if "." in name else f"{name}.service" for name in self._names]
        command = [systemctl, "show", "--no-pager", f"--property={','.join(_PROPERTIES)}", "--", *units]
        answer = self._asking.ask(command, _WITHIN)
        blocks = shown(answer.text) if answer.code == 0 else []
        if len(blocks) != len(units):
            why = answer.why or answer.errors.strip().partition("\n")[0] or f"systemctl ended with {answer.code}"
            remedy = "forewarn must run beside systemd, not in a container of its own; or name `processes` instead"
            self._unread.append(Unread("services", why[:300], remedy))
            return {}
        return dict(zip(self._names, blocks, strict=True))

    def _of_windows(self, seconds: float | None) -> dict[str, Row]:
        rows: dict[str, Row] = {}
        for name in self._names:
            row = rows[name] = _nothing()
            found = self._system.windows_service(name)
            if found is None:
                self._lacks(name, "its short name stands in its properties, or in `sc query`")
                continue
            row["running"] = float(found.running)
            mine = [each for each in self._system.processes() if each.pid == found.pid] if found.pid else []
            row["restarts"] = self._restarts(name, mine[0]) if mine else float(self._started.get(name, (0, 0))[1])
            spent = self._system.spent(mine[0]) if mine else None
            if spent is not None:
                row["resident_bytes"] = spent.resident_bytes
                row["cpu_percent"] = self._busy(name, spent.cpu_seconds, seconds)
        return rows

    def _restarts(self, name: str, process: Process) -> float:
        """How often another process stood for the service, since the agent began."""
        pid, count = self._started.get(name, (process.pid, 0))
        self._started[name] = process.pid, count + (pid != process.pid)
        return float(self._started[name][1])

    def _busy(self, name: str, now: float | None, seconds: float | None) -> float | None:
        before = self._spent.get(name)
        if now is None:
            self._spent.pop(name, None)
            return None
        self._spent[name] = now
        return _percent(before, now, seconds)

    def _lacks(self, name: str, remedy: str) -> None:
        self._unread.append(Unread(f"service {name}", "there is no service of this name", remedy))


class Processes(Part):
    """The table `service`, of processes by their command lines.

    Args:
        named: what people call them → a regular expression for the command line, or the name where there is none.
        system: knows the processes.
    """

    def __init__(self, named: Mapping[str, re.Pattern[str]], system: System) -> None:
        self._named = named
        self._system = system
        self._known: dict[str, dict[tuple[int, float], Spent]] = {}
        self._restarts: dict[str, int] = {}

    def read(self, seconds: float | None) -> Tables:
        """How many run of each, and what they use together."""
        if not self._named:
            return {}
        there = self._system.processes()
        return {"service": {name: self._row(name, match, there, seconds) for name, match in self._named.items()}}

    def _row(self, name: str, match: re.Pattern[str], there: Sequence[Process], seconds: float | None) -> Row:
        found = [each for each in there if match.search(each.command or each.name)]
        now = {(each.pid, each.started): spent for each in found if (spent := self._system.spent(each)) is not None}
        before = self._known.get(name, {})
        if found and before and not any((each.pid, each.started) in before for each in found):
            # None of those before is left: it was started anew, whether or not it was seen to be gone.
            self._restarts[name] = self._restarts.get(name, 0) + 1
        went_on = [(before[key].cpu_seconds, now[key].cpu_seconds) for key in now if key in before]
        if now:
            self._known[name] = now
        row = _nothing()
        row["running"], row["processes"] = float(bool(found)), float(len(found))
        row["restarts"] = float(self._restarts.get(name, 0))
        row["resident_bytes"] = sum(each.resident_bytes for each in now.values()) if now else None
        if went_on:
            row["cpu_percent"] = _percent(sum(b for b, _ in went_on), sum(n for _, n in went_on), seconds)
        return row


def shown(text: str) -> list[dict[str, str]]:
    """The blocks that `systemctl show` prints, one a unit, in the order they were asked for."""
    blocks: list[dict[str, str]] = []
    for block in re.split(r"\n[ \t]*\n", text.strip("\n")):
        pairs = [line.partition("=") for line in block.splitlines()]
        properties = {key: value.strip() for key, equals, value in pairs if equals and key in _PROPERTIES}
        if properties:
            blocks.append(properties)
    return blocks


def _nothing() -> Row:
    return dict.fromkeys(("running", "restarts", "processes", "resident_bytes", "cpu_percent"))


def _number(text: str | None) -> float | None:
    if text is None or not re.fullmatch("[0-9]{1,20}", text):
        return None
    return float(text) if int(text) < _UNSET else None


def _percent(before: float | None, now: float, seconds: float | None) -> float | None:
    """Of one processor: several at work make more than 100."""
    if before is None or not seconds or now < before:
        return None
    return 100 * (now - before) / seconds
