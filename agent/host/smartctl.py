"""Asks every disk for its health through smartctl: seldom, aside, without waking one that sleeps.

Disks behind a RAID controller are found by smartctl's own scan. An ordinary account may not open a disk; then
`sudo -n` is tried once, and what is missing is told with the one line that allows exactly these commands.

Errors: none; what cannot be asked is told under `unread`.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from agent.host.aside import Aside
from agent.host.children import Answer, Asking
from agent.host.files import Files
from agent.host.parts import MOST_ROWS, Part, Row, Tables, Unread
from agent.host.smart import Found, Unanswered, parse, scanned

EVERY = 1800.0
_WITHIN = 20.0
_SCAN = ("-j", "--scan")
_ASK = ("-j", "-n", "standby", "-i", "-H", "-A", "-l", "error", "-l", "ssd")
"""Reads alone: identity, health, attributes, error counters, endurance. No self-test, no setting."""
_HAVE_SMART = ("sd", "hd", "nvme")
_PART = "SMART"


class Survey(NamedTuple):
    """What one round over all disks brought."""

    rows: dict[str, Row]
    who: dict[str, str]
    unread: list[Unread]
    denied: bool = False


class Smart(Part):
    """What `disk` has of health.

    Args:
        asking: runs smartctl.
        files: knows the disks there are.
        monotonic: seconds by a clock that nobody sets.
        every: seconds between two rounds.
        root: whether this account may open disks anyway.
    """

    def __init__(
        self,
        asking: Asking,
        files: Files,
        monotonic: Callable[[], float],
        *,
        every: float = EVERY,
        root: bool | None = None,
    ) -> None:
        self._asking = asking
        self._files = files
        self._root = _is_root() if root is None else root
        self._as: tuple[str, ...] = ()
        self._who: dict[str, str] = {}
        self._sudo_refused = self._root
        self._survey = Aside(self._round, every=every, monotonic=monotonic, name="ask smartctl")

    def read(self, seconds: float | None) -> Tables:  # noqa: ARG002 - it has no rates
        """What the disks said in the last round; nothing before the first."""
        survey = self._survey.latest()
        return {"disk": {name: dict(row) for name, row in survey.rows.items()}} if survey and survey.rows else {}

    def texts(self) -> Mapping[str, str]:
        """Model and serial number of each disk: which spare to bring, and which one to pull."""
        survey = self._survey.latest()
        # What a disk once was it still is while it sleeps: the inventory must not change with every nap.
        self._who.update({name: who for name, who in survey.who.items() if who} if survey else {})
        return {"disks": "; ".join(f"{name}: {who}" for name, who in self._who.items())} if self._who else {}

    def unread(self) -> Sequence[Unread]:
        """Why some disk was not read in the last round."""
        survey = self._survey.latest()
        return survey.unread if survey else ()

    def settle(self, seconds: float) -> None:
        """Waits for the round that is under way."""
        self._survey.settle(seconds)

    def _round(self) -> Survey:
        smartctl = self._asking.find("smartctl")
        if smartctl is None:
            return self._without()
        survey = self._ask_all(self._as, smartctl)
        if not survey.denied or self._sudo_refused or self._as:
            return survey
        sudo = self._asking.find("sudo")
        tried = self._ask_all((sudo, "-n"), smartctl) if sudo else survey
        if sudo is None or tried.denied:
            self._sudo_refused = True  # Each refusal is a line in the log of root, and perhaps a mail.
            return survey
        self._as = (sudo, "-n")
        return tried

    def _without(self) -> Survey:
        disks = [name for name in self._files.names("/sys/block") if name.startswith(_HAVE_SMART)]
        if not disks:  # Disks of a virtual machine have no health of their own.
            return Survey({}, {}, [])
        remedy = "install smartmontools (Debian, Ubuntu: apt install smartmontools)"
        return Survey({}, {}, [Unread(_PART, f"smartctl is not installed; disks: {', '.join(disks)}", remedy)])

    def _ask_all(self, prefix: tuple[str, ...], smartctl: str) -> Survey:
        answer = self._asking.ask([*prefix, smartctl, *_SCAN], _WITHIN)
        try:
            disks = scanned(_printed(answer))[:MOST_ROWS]
        except Unanswered as wrong:
            remedy = "run `smartctl --scan` by hand: it must be of version 7.0 or later"
            return Survey({}, {}, [Unread(_PART, f"smartctl --scan: {wrong}", remedy)], denied=bool(prefix))
        rows: dict[str, Row] = {}
        who: dict[str, str] = {}
        refused: dict[Found, Unanswered] = {}
        for disk in disks:
            name = self._instance(disk)
            try:
                rows[name], who[name] = parse(_printed(self._asking.ask(_command(prefix, smartctl, disk), _WITHIN)))
            except Unanswered as wrong:
                refused[disk] = wrong
        denied = [disk for disk, wrong in refused.items() if wrong.denied]
        unread = [
            Unread(f"{_PART} of {d.instance}", str(w), _see(smartctl, d)) for d, w in refused.items() if not w.denied
        ]
        if denied:
            names = ", ".join(disk.instance for disk in denied)
            unread.append(Unread(_PART, f"this account may not open {names}", _allow(smartctl, disks)))
        return Survey(rows, who, unread, denied=bool(denied))

    def _instance(self, disk: Found) -> str:
        """The disk's name as the kernel counts its work: of an NVMe controller that of its first namespace."""
        name = disk.instance
        first = f"{name}n1"
        return first if name.startswith("nvme") and first in self._files.names("/sys/block") else name


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _command(prefix: Sequence[str], smartctl: str, disk: Found) -> list[str]:
    kind = ("-d", disk.type) if disk.type else ()
    return [*prefix, smartctl, *_ASK, *kind, disk.path]


def _printed(answer: Answer) -> str:
    """What was printed.

    Raises:
        Unanswered: nothing was.
    """
    if answer.code is None:
        raise Unanswered(answer.why)
    if not answer.text.strip():
        why = answer.errors.strip().partition("\n")[0] or f"printed nothing (exit {answer.code})"
        raise Unanswered(why[:300], denied=why.startswith("sudo:"))
    return answer.text


def _see(smartctl: str, disk: Found) -> str:
    return f"see what `{' '.join(_command((), smartctl, disk))}` prints"


def _allow(smartctl: str, disks: Sequence[Found]) -> str:
    commands = [[smartctl, *_SCAN], *(_command((), smartctl, disk) for disk in disks)]
    # In sudoers a comma ends a command, so that the one in `megaraid,8` needs its backslash.
    line = ", ".join(" ".join(command).replace(",", "\\,") for command in commands)
    return f"allow these reads alone with one line in `visudo -f /etc/sudoers.d/forewarn`: {_account()} ALL=(root) NOPASSWD: {line}"


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "ACCOUNT"
