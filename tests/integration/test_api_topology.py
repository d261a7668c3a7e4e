"""What the API tells of what hangs on what, on SQLite files and on PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert

from collector.storage import tables
from collector.storage.database import Databases
from tests import api_parts


def linked(databases: Databases, *devices: tuple[str, str, dict[str, Any]]) -> None:
    seen = {"site": "s2", "agent": "a2", "profile": "p", "first_seen": 1, "last_seen": 1}
    with databases.service.begin() as connection:
        rows = [{**seen, "device": name, "kind": kind, "inventory": said} for name, kind, said in devices]
        connection.execute(insert(tables.device), rows)


def test_a_site_tells_what_hangs_on_what(databases: Databases) -> None:
    asked = api_parts.opened(databases)
    linked(
        databases,
        ("sw-1", "switch", {"ups": "ups-9"}),
        ("cam-1", "camera", {"model": "m", "switch": "sw-1", "switch_port": "Gi1/0/1"}),
    )
    with asked.client() as client:
        told = client.get("/api/v1/sites/s2/topology").json()
        nothing = client.get("/api/v1/sites/s3/topology").json()
        nowhere = client.get("/api/v1/sites/s9/topology")
    port = {"relation": "switch", "on": "sw-1", "at": "Gi1/0/1", "standing": "known"}
    assert told["devices"][0] == {"device": "cam-1", "kind": "camera", "agent": "a2", "links": [port]}
    assert [(row["depth"], row["what"], row["name"], row["at"]) for row in told["trees"]["switch"]] == [
        (0, "agent", "a2", ""),
        (1, "device", "sw-1", ""),
        (2, "device", "cam-1", "Gi1/0/1"),
    ]
    supply = [(row["what"], row["name"], row["standing"]) for row in told["trees"]["ups"]]
    assert supply == [
        ("unknown", "ups-9", "known"),
        ("device", "sw-1", "unknown"),
        ("apart", "", "known"),
        ("device", "cam-1", "known"),
    ]
    assert nothing == {"site": "s3", "devices": [], "trees": {"switch": [], "recorder": [], "ups": []}}
    assert (nowhere.status_code, nowhere.json()["detail"]) == (404, "there is no site `s9`")
