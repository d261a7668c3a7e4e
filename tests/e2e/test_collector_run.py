"""`forewarn collector run`: from a published block to the API, with nothing faked in between."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import yaml

from tests.e2e.collector_run import ScriptedAgent, collector, consented, facts, until


def test_a_published_block_is_acknowledged_and_seen_in_the_api(tmp_path: Path) -> None:
    with collector(tmp_path) as run:
        until(lambda: run.missing() == [], "the collector is ready")
        # Agent and consent are registered beside the running collector, which must notice.
        consent = consented(run)
        agent = ScriptedAgent(run, yaml.safe_load(run.typed("add-agent", "s1", "--id", "a1")), consent)
        run.reload_broker()
        agent.bus.connect()
        t = int(time.time() * 1000)
        payload = agent.block([(t - 2000, "ups1", [90.0, 3600.0, 0.0]), (t - 1000, "ups1", [80.0, None, 0.0])])
        assert agent.deliver(payload, 2).held == ""
        agent.send(payload)
        until(lambda: run.get("/api/v1/ingest/a1")["duplicates"] >= 2, "the repeated block is counted")
        said = run.get("/api/v1/ingest/a1")
        assert (said["oldest"], said["head"], said["watermark"], said["lag"], said["records"]) == (1, 2, 2, 0, 2)
        path = "/api/v1/series/values?site=s1&device=ups1&table=ups&field=charge_percent"
        until(lambda: run.get(path)["value"] == [90.0, 80.0], "both values are in the series")
        until(lambda: run.get("/api/v1/devices")["items"], "the device is in the register")
        device = run.get("/api/v1/sites/s1/devices/ups1")
        assert (device["kind"], device["profile"], device["agent"]) == ("ups", "ups.rfc1628", "a1")
        assert [value["value"] for value in device["values"]] == [80.0, 0.0, 3600.0]
        agent.bus.close()
        assert run.end() == 0
        assert "Traceback" not in run.log()


def test_what_was_taken_in_is_there_after_a_restart(tmp_path: Path) -> None:
    with collector(tmp_path) as run:
        consent = consented(run)
        agent = ScriptedAgent(run, run.add_agent(), consent)
        run.reload_broker()
        agent.bus.connect()
        agent.deliver(agent.block([(int(time.time() * 1000), "ups1", [70.0, 1800.0, 0.0])]), 1)
        assert run.process is not None
        run.process.kill()
        run.process.wait()
        run.start()
        path = "/api/v1/series/values?site=s1&device=ups1&table=ups&field=charge_percent"
        until(lambda: run.get(path)["value"] == [70.0], "the value is in the series after kill -9")
        boots = until(lambda: len({ack.boot for ack in agent.acks}) == 2, "the acknowledgement comes again")
        assert boots
        agent.bus.close()
        assert run.end() == 0


def test_a_ups_on_battery_becomes_a_ticket_with_its_reason(tmp_path: Path) -> None:
    with collector(tmp_path) as run:
        consent = consented(run)
        agent = ScriptedAgent(run, run.add_agent(), consent)
        run.reload_broker()
        agent.bus.connect()
        t = int(time.time() * 1000)
        mains = [(t - 600_000 + minute * 60_000, "ups1", [100.0, 3600.0, 0.0]) for minute in range(5)]
        battery = [(t - 300_000 + minute * 60_000, "ups1", [95.0, 3300.0, 1.0]) for minute in range(5)]
        agent.deliver(agent.block([*mains, *battery]), 10)
        found = until(lambda: run.get("/api/v1/tickets?state=open")["items"], "a ticket is open")
        assert [(ticket["device"], ticket["rule"], ticket["severity"]) for ticket in found] == [
            ("ups1", "ups.on_battery", "warning")
        ]
        whole = run.get(f"/api/v1/tickets/{found[0]['id']}")
        assert whole["title"]["en"].startswith("ups1 runs on battery: 95")
        assert "on_battery == 1" in whole["explanation"]
        assert whole["reason"]["source"].startswith("library/power.yaml:")
        agent.bus.close()


def test_a_broker_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    with collector(tmp_path, broker_up=False) as run:
        until(lambda: run.missing() == ["bus"], "only the bus is missing")
        run.broker.start()
        until(lambda: run.missing() == [], "nothing is missing any more")
        assert run.end() == 0


def test_a_port_that_is_taken_ends_it_with_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken, collector(tmp_path, broker_up=False) as run:
        assert run.process is not None
        run.process.kill()
        run.process.wait()
        (tmp_path / "log").unlink()
        taken.bind(("127.0.0.1", run.port))
        taken.listen()
        run.start()
        assert run.process.wait(30) == 2
        where = f"127.0.0.1:{run.port}"
        assert run.log() == (
            f"forewarn collector: cannot listen on {where}: Address already in use; "
            "choose another with `api.port` (FOREWARN_COLLECTOR__API__PORT)\n"
        )


def test_a_block_under_an_unknown_consent_is_held_and_named(tmp_path: Path) -> None:
    with collector(tmp_path) as run:
        made = run.add_agent()
        agent = ScriptedAgent(run, made, "c-unknown")
        run.reload_broker()
        agent.bus.connect()
        payload = agent.block([(int(time.time() * 1000), "ups1", [70.0, 1800.0, 0.0])])

        def told() -> list[str]:
            agent.send(payload)
            return [ack.held for ack in agent.acks if ack.held]

        held = until(told, "the agent is told why")
        assert held[0] == "unknown_consent"
        assert run.get("/api/v1/ingest/a1")["held_reason"].startswith("unknown_consent")
        assert facts(run.log(), "block refused")[0]["agent"] == "a1"
        agent.bus.close()
