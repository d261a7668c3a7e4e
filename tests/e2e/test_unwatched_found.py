"""A running agent finds a device that nobody watches: the service company sees it, the customer reads what was sent."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import yaml

from forewarn.demo.responder import Responder
from forewarn.vocabulary import Source
from tests.e2e.collector_run import ROOT, collector, environment, until
from tests.e2e.whole_site import WholeSite

ADDRESS = "127.77.10.2"


def test_it_is_listed_at_its_site_until_somebody_watches_it(tmp_path: Path) -> None:
    text = (ROOT / "tests/fixtures/recordings/switch.h3c.snmprec").read_text()
    with Responder() as responder, collector(tmp_path) as run:
        device = responder.add(text, address=ADDRESS, community="sight")
        looking = {"enabled": True, "every": "1s", "networks": ["127.77.10.0/29"], "rate": 100.0}
        site = WholeSite(run, tmp_path / "site")
        site.enrol(
            [],
            Source.DISCOVERY,
            credentials={"floor": {"community": "sight"}},
            discovery=looking | {"snmp_port": device.port},
        )
        run.reload_broker()
        site.start()

        def listed() -> list[dict[str, object]]:
            return run.get("/api/v1/sites/s1/unwatched")["items"]

        until(listed, "the service company is told of it")
        [one] = listed()
        assert one["text"]["address"] == ADDRESS
        assert one["text"]["answers"] == "SNMP"
        assert [each["device"] for each in run.get("/api/v1/devices?site=s1")["items"]] == ["a1", "a1.host"]
        site.end()
        with closing(sqlite3.connect(f"file:{run.folder}/data/service.db?mode=ro", uri=True, timeout=10)) as service:
            events = [
                json.loads(text) for (text,) in service.execute("SELECT text FROM device_event WHERE device = 'a1'")
            ]
        assert [(each["event"], each["address"]) for each in events] == [("device nobody watches", ADDRESS)]

        log = [sys.executable, "-m", "forewarn", "agent", "log", "--folder", str(site.folder / "agent")]
        told = subprocess.run(log, env=environment(), capture_output=True, text=True, timeout=60, check=True).stdout
        assert "* Looking for devices in 127.77.10.0/29 (6 addresses, by the agent): " in told
        assert f"6 asked, found {ADDRESS} (SNMP)" in told
        assert told.count("event: event device nobody watches") == 1

        watched = {"name": "sw-9", "address": ADDRESS, "port": device.port, "credential": "floor"}
        (site.folder / "agent.yaml").write_text(yaml.safe_dump(site.settings | {"devices": [watched]}))
        site.start()
        until(lambda: not listed(), "it is no longer listed")
        site.end()
