"""A machine that is as it is told to be: beside the real one for tests, and the only one where Windows has ever run.

`ToldSystem` passes the contract tests of `agent.host.system.Psutil`, `ToldCommands` those of `agent.host.children`;
`WindowsApi` stands for psutil on Windows, with the names that psutil has there.

Errors: none, as the real ones.
"""

# ruff: noqa: D102 - what each gives is said once, in the Protocol `System`

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.host.children import Answer
from agent.host.system import (
    Battery,
    DiskCounts,
    Fan,
    Link,
    Memory,
    Mount,
    Process,
    Room,
    Spent,
    Traffic,
    Warmth,
    WindowsService,
)


@dataclass
class ToldSystem:
    """An operating system whose answers are its fields; None or empty is what it does not tell."""

    spent_by_kind: Mapping[str, float] | None = None
    loads: tuple[float, float, float] | None = None
    has_memory: Memory | None = None
    booted_at: float | None = None
    has_disks: dict[str, DiskCounts] = field(default_factory=dict)
    has_mounts: list[Mount] = field(default_factory=list)
    rooms: dict[str, Room] = field(default_factory=dict)
    carried: dict[str, Traffic] = field(default_factory=dict)
    has_links: dict[str, Link] = field(default_factory=dict)
    has_warmths: list[Warmth] = field(default_factory=list)
    has_fans: list[Fan] = field(default_factory=list)
    has_battery: Battery | None = None
    runs: dict[Process, Spent] = field(default_factory=dict)
    windows: dict[str, WindowsService] | None = None

    def processor(self) -> Mapping[str, float] | None:
        return self.spent_by_kind

    def load(self) -> tuple[float, float, float] | None:
        return self.loads

    def memory(self) -> Memory | None:
        return self.has_memory

    def process_count(self) -> int | None:
        return len(self.runs) or None

    def booted(self) -> float | None:
        return self.booted_at

    def disks(self) -> Mapping[str, DiskCounts]:
        return dict(self.has_disks)

    def mounts(self) -> list[Mount]:
        return list(self.has_mounts)

    def room(self, path: str) -> Room | None:
        return self.rooms.get(path)

    def traffic(self) -> Mapping[str, Traffic]:
        return dict(self.carried)

    def links(self) -> Mapping[str, Link]:
        return self.has_links

    def warmths(self) -> list[Warmth]:
        return self.has_warmths

    def fans(self) -> list[Fan]:
        return self.has_fans

    def battery(self) -> Battery | None:
        return self.has_battery

    def processes(self) -> list[Process]:
        return list(self.runs)

    def spent(self, process: Process) -> Spent | None:
        return self.runs.get(process)

    def has_windows_services(self) -> bool:
        return self.windows is not None

    def windows_service(self, name: str) -> WindowsService | None:
        return (self.windows or {}).get(name)


Said = Answer | Callable[[Sequence[str]], Answer]


class ToldCommands:
    """Commands that answer as told; one that nothing is told of is not installed.

    `asked` has every command line, in order.
    """

    def __init__(self, answers: Mapping[str, Said]) -> None:
        self._answers = answers
        self.asked: list[list[str]] = []

    def find(self, name: str) -> str | None:
        """The name itself, when something is told of it."""
        return name if name in self._answers else None

    def ask(self, command: Sequence[str], seconds: float) -> Answer:  # noqa: ARG002 - it answers at once
        """What was told of the command's name."""
        self.asked.append(list(command))
        said = self._answers.get(command[0])
        if said is None:
            return Answer(None, why="No such file or directory")
        return said(command) if callable(said) else said


class WindowsApi:
    """psutil as it is on Windows, as far as services go: its names, and its error for what is not there."""

    class Error(Exception):
        """As psutil.Error."""

    class NoSuchProcess(Error):
        """As psutil.NoSuchProcess, which a service that is not there raises too."""

    class Service:
        """As psutil's WindowsService: `status` is running, stopped, paused or on the way to one of them."""

        def __init__(self, status: str, pid: int | None) -> None:
            self._status = status
            self._pid = pid

        def status(self) -> str:
            """Its state in a word."""
            return self._status

        def pid(self) -> int | None:
            """Of its process; None while it does not run."""
            return self._pid

    def __init__(self, services: Mapping[str, tuple[str, int | None]]) -> None:
        self._services = services

    def win_service_get(self, name: str) -> Service:
        """The service of this short name.

        Raises:
            NoSuchProcess: there is none.
        """
        if name not in self._services:
            raise self.NoSuchProcess(name)
        return self.Service(*self._services[name])
