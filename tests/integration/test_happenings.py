"""What happens to devices is kept from what agents deliver, once, the newest of each; and told in both languages."""

from __future__ import annotations

import itertools

import pytest

from collector.console.events import told
from collector.console.words import Say
from collector.evaluation import happenings
from collector.storage.database import Databases, reading
from rules.samples import Batch, Device, Happened

REPLACED = {"event": "device replaced", "what": "serial", "before": "A1", "after": "B2"}


def batch(*happened: Happened) -> Batch:
    return Batch(first=1, last=9, rows=[], happened=list(happened), arrivals=[], tick=None)


def happened(position: int, text: dict[str, str], *, device: str = "cam", kind: str = "event") -> Happened:
    return Happened(Device("s", "a", device), kind, 1000 + position, 2000, position, text)


def kept(databases: Databases, device: str = "cam") -> list[tuple[int, str]]:
    with reading(databases.service) as connection:
        return [(row["t"], row["text"]["after"]) for row in happenings.of_device(connection, "s", device)]


def test_an_event_of_a_device_is_kept_and_nothing_else_is(databases: Databases) -> None:
    rows = happenings.events(
        [
            batch(
                happened(1, REPLACED),
                happened(1, REPLACED | {"after": "C3"}),
                happened(2, {"model": "x"}, kind="inventory"),
                happened(3, {"event": "epoch rolled"}, device=""),
                happened(4, REPLACED, device="other"),
            )
        ]
    )
    with databases.service.begin() as connection:
        happenings.write(connection, rows)
        happenings.write(connection, [])
    assert kept(databases) == [(1001, "C3"), (1001, "B2")]
    assert kept(databases, "other") == [(1004, "B2")]


def test_events_that_were_committed_unanswered_are_written_again_to_the_same_effect(databases: Databases) -> None:
    rows = happenings.events([batch(happened(1, REPLACED), happened(4, REPLACED | {"after": "C3"}))])
    for _ in range(2):
        with databases.service.begin() as connection:
            happenings.write(connection, rows)
    assert kept(databases) == [(1004, "C3"), (1001, "B2")]


def test_only_the_newest_of_each_device_are_kept(databases: Databases) -> None:
    for begin in (1, 76):
        told_now = [happened(1 + at // 2, REPLACED | {"after": str(at)}) for at in range(begin, begin + 75)]
        with databases.service.begin() as connection:
            happenings.write(connection, happenings.events([batch(*told_now)]) if begin == 1 else _later(told_now))
    found = [int(after) for _, after in kept(databases)]
    assert found == sorted(found, reverse=True)
    assert len(found) == happenings.KEPT
    assert found[0] == 150


def _later(told_now: list[Happened]) -> list[dict[str, object]]:
    """Their rows, each in an entry of its own behind those before."""
    return [happenings.events([batch(one._replace(position=100 + at))])[0] for at, one in enumerate(told_now)]


@pytest.mark.parametrize(
    ("text", "chinese", "english"),
    [
        (REPLACED, "设备已更换（序列号：A1 → B2）", "Device replaced (Serial number: A1 → B2)"),
        (
            REPLACED | {"event": "firmware changed"},
            "固件已变更：A1 → B2",
            "Firmware changed: A1 → B2",
        ),
        (
            {"event": "no SNMP", "why": "authentication failed"},
            "设备在线，但 SNMP 不应答：authentication failed",
            "The device is there, its SNMP is not: authentication failed",
        ),
        ({"event": "something newer", "why": "because"}, "something newer · because", "something newer · because"),
        ({"event": "device replaced"}, "device replaced", "device replaced"),
        ({"event": "no SNMP", "word": "x"}, "no SNMP · x", "no SNMP · x"),
    ],
    ids=itertools.count(),
)
def test_an_event_is_told_in_a_sentence(text: dict[str, str], chinese: str, english: str) -> None:
    assert told(text, Say("zh")) == chinese
    assert told(text, Say("en")) == english
