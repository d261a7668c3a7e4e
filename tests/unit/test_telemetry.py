"""What programs say: one line an event, for people on a terminal, else for machines; never a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from forewarn import telemetry
from forewarn.settings import Secret
from forewarn.telemetry import Log

NAMES = ("", "forewarn", "agent", "collector", "rules")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    kept = [(log, log.handlers[:], log.level, log.propagate) for log in map(logging.getLogger, NAMES)]
    yield
    for log, handlers, level, propagate in kept:
        log.handlers[:] = handlers
        log.setLevel(level)
        log.propagate = propagate


def test_a_machine_gets_one_json_object_a_line() -> None:
    out = io.StringIO()
    telemetry.start("info", out)
    Log("agent.uplink").warning("not connected", why="refused", port=1883, secret=Secret("x1y2"))
    Log("agent.uplink").debug("not said")
    (line,) = out.getvalue().splitlines()
    said = json.loads(line)
    assert said.pop("t").endswith("Z")
    assert said == {
        "level": "warning",
        "from": "agent.uplink",
        "event": "not connected",
        "why": "refused",
        "port": 1883,
        "secret": "<secret>",
    }


def test_a_person_gets_a_line_to_read() -> None:
    out = Terminal()
    telemetry.start("debug", out)
    Log("collector.intake").debug("block held", agent="a-1", why="unknown")
    assert out.getvalue()[8:] == " debug   collector.intake: block held  agent=a-1  why=unknown\n"


def test_a_mistake_of_ours_comes_with_its_traceback() -> None:
    out = io.StringIO()
    telemetry.start("info", out)
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        Log("rules.engine").exception("rule failed", rule="r")
    said = json.loads(out.getvalue())
    assert said["event"] == "rule failed"
    assert said["traceback"].startswith("Traceback")


def test_others_are_heard_from_warnings_up() -> None:
    out = io.StringIO()
    telemetry.start("debug", out)
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("trouble %d", 7)
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["trouble 7"]
