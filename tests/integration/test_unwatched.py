"""What agents say of devices that nobody watches is kept beside the register, shown, and taken away again."""

from __future__ import annotations

import pytest

from collector.console.events import told
from collector.console.words import Say
from collector.evaluation import unwatched
from collector.evaluation.devices import Devices
from collector.storage.database import Databases, reading
from rules.samples import Batch, Device, Happened
from tests import api_parts

CAMERA = {"address": "10.0.0.9", "mac": "bc:ad:28:00:00:09", "maker": "Hikvision", "answers": "ping, TCP 554"}


def heard(position: int, device: str, text: dict[str, str], site: str = "s2") -> Batch:
    one = Happened(Device(site, "a2", device), "inventory", 1000, 2000 + position, position, text)
    return Batch(first=1, last=9, rows=[], happened=[one], arrivals=[], tick=None)


def taken(databases: Databases, *batches: Batch) -> Devices:
    devices = Devices()
    with databases.service.begin() as connection:
        changes = devices.changes(batches)
        devices.write(connection, changes)
    devices.settle(changes)
    return devices


def kept(databases: Databases, site: str = "s2") -> list[str]:
    with reading(databases.service) as connection:
        return [row["device"] for row in unwatched.of_site(connection, site)]


def test_one_that_is_found_is_told_by_the_api_and_is_no_device_of_the_register(databases: Databases) -> None:
    asked = api_parts.opened(databases)
    with asked.client() as client:
        before = client.get("/api/v1/sites/s2").json()["devices"]
        taken(databases, heard(1, CAMERA["mac"], CAMERA | {"watched": "no"}))
        found = client.get("/api/v1/sites/s2/unwatched").json()
        assert client.get("/api/v1/sites/s2").json()["devices"] == before
        assert client.get("/api/v1/sites/s9/unwatched").status_code == 404
    seen = {"first_seen": 2001, "last_seen": 2001}
    assert found == {"site": "s2", "items": [{"device": CAMERA["mac"], "agent": "a2", "text": CAMERA, **seen}]}


@pytest.mark.parametrize("word", ["yes", "gone"])
def test_once_it_is_watched_or_gone_it_is_no_longer_listed(databases: Databases, word: str) -> None:
    api_parts.opened(databases)
    first = heard(1, CAMERA["mac"], CAMERA | {"watched": "no"})
    again = heard(2, CAMERA["mac"], CAMERA | {"address": "10.0.0.10", "watched": "no"})
    taken(databases, first, again, heard(3, "10.0.0.7", {"address": "10.0.0.7", "watched": "no"}))
    assert kept(databases) == ["10.0.0.7", CAMERA["mac"]]
    with reading(databases.service) as connection:
        row = unwatched.of_site(connection, "s2")[1]
    assert (row["first_seen"], row["last_seen"], row["text"]["address"]) == (2001, 2002, "10.0.0.10")
    taken(databases, heard(4, CAMERA["mac"], {"watched": word, "address": "10.0.0.10"}))
    assert kept(databases) == ["10.0.0.7"]


def test_an_agent_cannot_fill_the_table(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwatched, "KEPT", 3)
    api_parts.opened(databases)
    taken(databases, *(heard(at, f"10.0.0.{at}", {"watched": "no", "address": f"10.0.0.{at}"}) for at in range(1, 8)))
    assert kept(databases) == ["10.0.0.7", "10.0.0.6", "10.0.0.5"]


def test_the_event_is_told_in_both_languages() -> None:
    event = {"event": "device nobody watches"} | CAMERA
    assert told(event, Say("en")) == "A device nobody watches: 10.0.0.9 (Hikvision, answers ping, TCP 554)"
    assert told(event, Say("zh")) == "发现未纳入监控的设备：10.0.0.9（Hikvision，应答：ping, TCP 554）"
    event.pop("maker")
    assert "(maker unknown, answers" in told(event, Say("en"))
