"""Every shipped profile against a recording, through the real responder and the real adapter."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent.contact import Contact
from agent.profile import shipped
from agent.reading import Happening, Reading
from agent.snmp.opening import opener
from agent.target import Target
from forewarn.demo import ber
from forewarn.demo.responder import Device, Responder
from forewarn.settings import Duration, Secret
from forewarn.vocabulary import misnamed
from tests.clocks import SteppedClock

RECORDINGS = Path(__file__).parents[1] / "fixtures" / "recordings"


def replay(device: Device, text: str) -> None:
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, tag, content = line.split("|", 2)
            device.set(name, int(tag), content)


async def polled(device: Device, later: str) -> list[list[Reading | Happening]]:
    target = Target(
        name="it", address=device.address, port=device.port, community=Secret("public"), timeout=Duration(2), retries=0
    )
    clock = SteppedClock()
    contact = Contact(target, shipped(), open_session=opener(), clock=clock)
    first = await contact.poll()
    replay(device, later)
    clock.step(60)
    second = await contact.poll()
    contact.close()
    return [first, second]


def told(items: list[Reading | Happening]) -> dict[str, Any]:
    """A poll as people read it, but for the times that no two runs share."""
    reading = next(item for item in items if isinstance(item, Reading))
    assert reading.ok, reading.why
    rows: dict[str, Any] = {}
    for (table, instance, field), value in zip(reading.shape.columns(), reading.values, strict=True):
        if field not in ("rtt_seconds", "poll_seconds"):
            rows.setdefault(table, {}).setdefault(instance, {})[field] = value
    inventory = next((item.text for item in items if isinstance(item, Happening)), None)
    said = {"kind": str(reading.shape.kind), "profile": reading.shape.profile, "values": rows}
    return said | ({"inventory": inventory} if inventory else {})


def replayed(profile: str) -> tuple[dict[str, Any], Device]:
    later = RECORDINGS / f"{profile}.later.snmprec"
    with Responder() as responder:
        device = responder.add((RECORDINGS / f"{profile}.snmprec").read_text())
        polls = asyncio.run(polled(device, later.read_text() if later.exists() else ""))
    return {"first": told(polls[0]), "a minute later": told(polls[1])}, device


@pytest.mark.parametrize("profile", sorted(shipped()))
def test_a_recorded_device_gives_the_record_that_was_checked_against_its_mib(profile):
    got, device = replayed(profile)
    expected = json.loads((RECORDINGS / f"{profile}.json").read_text())
    assert got["first"] == expected["first"]
    assert got["a minute later"]["values"] == expected["a minute later"]["values"]
    assert "inventory" not in got["a minute later"], "an inventory that has not changed is not told again"
    assert device.sets == 0


@pytest.mark.parametrize("profile", sorted(shipped()))
def test_every_recording_says_where_it_is_from(profile):
    first = (RECORDINGS / f"{profile}.snmprec").read_text().splitlines()[0]
    assert first.startswith("# Written by hand")
    assert ber.recorded((RECORDINGS / f"{profile}.snmprec").read_text())


@pytest.mark.parametrize("profile", sorted(shipped()))
def test_every_field_of_an_expected_record_is_in_the_vocabulary(profile):
    expected = json.loads((RECORDINGS / f"{profile}.json").read_text())
    for table, rows in expected["first"]["values"].items():
        for fields in rows.values():
            assert not [misnamed(table, field) for field in fields if misnamed(table, field)]
