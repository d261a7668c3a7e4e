"""Arrays of Linux's software RAID, by /proc/mdstat.

Source: md(4) and mdadm(8), section on /proc/mdstat. `[4/3]` is members wanted and there, `(F)` a failed one, `(S)` a
spare. Containers of firmware RAID (`external:imsm` and its kin) are no arrays; theirs stand beside them.

Errors: none; a line that is not understood leaves null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from agent.host.files import Files
from agent.host.parts import MOST_ROWS, Part, Row, Tables
from forewarn.vocabulary import Status

_ARRAY = re.compile(r"^(?P<name>md\S*) : (?P<state>\S+)(?: \([a-z-]+\))*(?P<rest>.*)$", re.MULTILINE)
_MEMBER = re.compile(r"\[\d+\]((?:\([A-Z]\))*)")
_WHOLE = re.compile(r"\[(\d{1,6})/(\d{1,6})\]")
_DONE = re.compile(r"(recovery|resync|reshape|check|repair)\s*=\s*(\d{1,3}(?:\.\d{1,9})?)%")
_WAITS = re.compile(r"(recovery|resync|reshape)\s*=\s*(?:DELAYED|PENDING|REMOTE)")
_CONTAINER = re.compile(r"super external:(?![-/])")


class Arrays(Part):
    """The table `raid`."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def read(self, seconds: float | None) -> Tables:  # noqa: ARG002 - it has no rates
        """How each array stands."""
        rows = parse(self._files.text("/proc/mdstat") or "")
        return {"raid": rows} if rows else {}


def parse(text: str) -> dict[str, Row]:
    """The rows of /proc/mdstat, by array.

    `status` is 0 whole (also while it is checked), 1 while it rebuilds, resyncs or reshapes, 2 when it lacks disks and
    nothing rebuilds it, or does not run.
    """
    rows: dict[str, Row] = {}
    for head, body in _sections(text):
        if len(rows) >= MOST_ROWS or _CONTAINER.search(body):
            continue
        rows[head["name"]] = _row(head, body)
    return rows


def _sections(text: str) -> Iterator[tuple[re.Match[str], str]]:
    heads = list(_ARRAY.finditer(text))
    ends = [*(head.start() for head in heads), len(text)][1:]
    for head, end in zip(heads, ends, strict=False):
        yield head, text[head.end() : end]


def _row(head: re.Match[str], body: str) -> Row:
    members = _MEMBER.findall(head["rest"])
    failed, spares = (sum(mark in each for each in members) for mark in ("(F)", "(S)"))
    whole, done = _WHOLE.search(body), _DONE.search(body)
    # Without redundancy there is no [n/m]: an array that runs then has all its members.
    wanted = int(whole[1]) if whole else len(members) - failed - spares
    missing = max(int(whole[1]) - int(whole[2]), 0) if whole else (0 if head["state"] == "active" else None)
    percent = min(float(done[2]), 100.0) if done else None
    work = done or _WAITS.search(body)
    return {
        "status": float(_status(head["state"], missing, work[1] if work else "")),
        "disks": float(wanted),
        "disks_missing": float(missing) if missing is not None else None,
        "disks_failed": float(failed),
        "spares": float(spares),
        "rebuilt_percent": percent,
    }


def _status(state: str, missing: int | None, work: str) -> Status:
    if state != "active":
        return Status.CRITICAL
    if work in ("recovery", "resync", "reshape"):
        return Status.WARNING
    return Status.CRITICAL if missing else Status.OK
