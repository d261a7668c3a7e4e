"""What the API answers, on SQLite files and on PostgreSQL."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from sqlalchemy import insert

from collector.api.application import application, routes
from collector.api.parts import Check
from collector.api.server import Server, bound
from collector.storage import tables
from rules.finding import Evidence, Finding, Reason, Turn
from tests import api_parts

ROOT = Path(__file__).parents[2]


on_both = pytest.mark.parametrize("asked", ["sqlite", "postgresql"], indirect=True)
"""For what a dialect could answer otherwise."""


def made_by_hand(client: httpx.Client, **also: str) -> dict:
    answer = client.post("/api/v1/tickets", json={"site": "s1", "device": "ups1", "title": "It smells", **also})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_without_a_known_token_nothing_is_told(asked: api_parts.Asked) -> None:
    for token in ("", "wrong"):
        with asked.client(token) as stranger:
            answer = stranger.get("/api/v1/sites")
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == 'Bearer realm="forewarn"'
            assert "forewarn collector add-token" in answer.json()["detail"]


def test_the_token_is_judged_before_the_request_is_read(asked: api_parts.Asked) -> None:
    with asked.client("") as stranger:
        assert stranger.post("/api/v1/tickets", content=b"{not json").status_code == 401
        assert stranger.get("/api/v1/tickets?limit=many").status_code == 401


@on_both
def test_sites_are_listed_page_by_page(client: httpx.Client) -> None:
    first = client.get("/api/v1/sites?limit=2").json()
    assert [site["id"] for site in first["items"]] == ["s1", "s2"]
    rest = client.get("/api/v1/sites", params={"limit": 2, "after": first["next"]}).json()
    assert [site["id"] for site in rest["items"]] == ["s3"]
    assert rest["next"] is None


@on_both
def test_a_site_counts_its_agents_and_devices(client: httpx.Client) -> None:
    assert client.get("/api/v1/sites/s1").json() == {
        "id": "s1",
        "name": "Site s1",
        "created": 1,
        "agents": 1,
        "devices": 2,
    }


def test_what_is_not_there_is_named(client: httpx.Client) -> None:
    for path, named in (("sites/x", "`x`"), ("agents/x", "`x`"), ("sites/s1/devices/x", "`x`"), ("tickets/x", "`x`")):
        answer = client.get(f"/api/v1/{path}")
        assert answer.status_code == 404
        assert named in answer.json()["detail"]
        assert answer.json()["instance"] == f"/api/v1/{path}"


def test_no_answer_carries_an_agents_secret(client: httpx.Client) -> None:
    for path in ("agents", "agents/a1", "ingest", "ingest/a1", "sites", "devices"):
        assert "hush" not in client.get(f"/api/v1/{path}").text


@on_both
def test_devices_are_listed_over_page_borders(client: httpx.Client) -> None:
    first = client.get("/api/v1/devices?limit=1").json()
    second = client.get("/api/v1/devices", params={"limit": 1, "after": first["next"]}).json()
    assert [first["items"][0]["device"], second["items"][0]["device"]] == ["ups1", "ups2"]
    assert second["next"] is None


def test_a_device_shows_the_newest_value_of_each_series(client: httpx.Client) -> None:
    device = client.get("/api/v1/sites/s1/devices/ups1").json()
    assert device["inventory"] == {"model": "SMT1500"}
    assert [(value["field"], value["value"]) for value in device["values"]] == [
        ("charge_percent", 80.0),
        ("runtime_seconds", 3600.0),
    ]


def test_a_series_is_read_over_a_stretch(client: httpx.Client) -> None:
    names = {"site": "s1", "device": "ups1", "table": "ups", "field": "charge_percent"}
    stretch = client.get("/api/v1/series/values", params=names).json()
    assert stretch["value"] == [90.0, 80.0]
    assert stretch["t"] == [api_parts.NOW, api_parts.NOW + 60_000]
    later = client.get("/api/v1/series/values", params={**names, "begin": api_parts.NOW + 1}).json()
    assert later["value"] == [80.0]


def test_a_misspelt_field_is_answered_with_the_nearest(client: httpx.Client) -> None:
    names = {"site": "s1", "device": "ups1", "table": "ups", "field": "charge_percnt"}
    answer = client.get("/api/v1/series/values", params=names)
    assert answer.status_code == 404
    assert answer.json()["detail"] == "table `ups` has no field `charge_percnt`; did you mean `charge_percent`?"


def test_the_series_of_a_site_are_listed_page_by_page(client: httpx.Client) -> None:
    first = client.get("/api/v1/series?site=s1&limit=1").json()
    rest = client.get("/api/v1/series", params={"site": "s1", "after": first["next"]}).json()
    assert [item["field"] for item in first["items"] + rest["items"]] == ["charge_percent", "runtime_seconds"]
    assert rest["next"] is None


def test_a_wrong_request_says_what_and_where(client: httpx.Client) -> None:
    answer = client.post("/api/v1/tickets", json={"site": "s1", "title": "x", "severty": "critical"})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["title"] == "Unprocessable Content" or problem["title"] == "Unprocessable Entity"
    assert problem["errors"] == [{"at": "body.severty", "what": "Extra inputs are not permitted"}]
    assert client.get("/api/v1/tickets?limit=0").json()["errors"][0]["at"] == "query.limit"


def test_a_body_beyond_the_limit_is_refused(client: httpx.Client) -> None:
    answer = client.post("/api/v1/tickets", content=b" " * (256 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.json()["detail"] == "the body has more than 262144 bytes"


@on_both
def test_a_ticket_goes_through_its_life_in_the_name_of_who_acts(client: httpx.Client) -> None:
    ticket = made_by_hand(client, severity="critical", text="Like burnt plastic")
    path = f"/api/v1/tickets/{ticket['id']}"
    assert (ticket["state"], ticket["severity"], ticket["title"]["en"]) == ("open", "critical", "It smells")
    client.post(f"{path}/acknowledge")
    client.post(f"{path}/assign", json={"assignee": "Wei"})
    client.post(f"{path}/comment", json={"text": "On my way"})
    client.post(f"{path}/resolve", json={"cause": "Fan dead, replaced"})
    client.post(f"{path}/close", json={})
    whole = client.post(f"{path}/reopen", json={"text": "It smells again"}).json()
    kinds = ["opened", "acknowledged", "assigned", "commented", "resolved", "closed", "reopened"]
    assert [event["kind"] for event in whole["events"]] == kinds
    assert {event["actor"] for event in whole["events"]} == {"Mei"}
    assert (whole["state"], whole["assignee"]) == ("open", "Wei")


def test_an_act_the_state_forbids_is_a_conflict_that_says_why(client: httpx.Client) -> None:
    path = f"/api/v1/tickets/{made_by_hand(client)['id']}"
    client.post(f"{path}/close", json={})
    answer = client.post(f"{path}/acknowledge")
    assert answer.status_code == 409
    assert answer.json()["detail"] == "the ticket is closed: reopen it first"


def test_a_ticket_for_a_site_that_is_not_there_is_not_made(client: httpx.Client) -> None:
    answer = client.post("/api/v1/tickets", json={"site": "s9", "title": "x"})
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no site `s9`")
    assert client.get("/api/v1/tickets").json()["items"] == []


@on_both
def test_tickets_are_found_newest_first_by_state_and_page(client: httpx.Client) -> None:
    made = [made_by_hand(client, title=f"No {at}")["id"] for at in range(3)]
    client.post(f"/api/v1/tickets/{made[1]}/close", json={})
    still = client.get("/api/v1/tickets?state=open&limit=1").json()
    rest = client.get("/api/v1/tickets", params={"state": "open", "after": still["next"]}).json()
    assert [item["id"] for item in still["items"] + rest["items"]] == [made[2], made[0]]


@on_both
def test_delivery_shows_watermark_lag_and_why_blocks_are_held(asked: api_parts.Asked, client: httpx.Client) -> None:
    with asked.databases.journal.begin() as connection:
        spoken = {"agent": "a1", "epoch": "E", "oldest": 5, "head": 30, "heard": 9, "lost": 2, "held_reason": "forked"}
        connection.execute(insert(tables.ingest), [spoken])
        mark = {"agent": "a1", "epoch": "E", "upto": 20, "chain": bytes(16), "begun": 1, "moved": 8}
        connection.execute(insert(tables.watermark), [mark])
    said = client.get("/api/v1/ingest/a1").json()
    assert (said["oldest"], said["head"], said["watermark"], said["lag"]) == (5, 30, 20, 10)
    assert (said["lost"], said["held_reason"]) == (2, "forked")
    assert client.get("/api/v1/ingest").json()["items"] == [said]
    assert client.get("/api/v1/agents/a1").json()["heard"] == 9


@on_both
def test_what_was_set_aside_is_listed_newest_first(asked: api_parts.Asked, client: httpx.Client) -> None:
    row = {"arrived": 1, "topic": "fw/1/t/03/a1", "agent": "a1", "detail": "begins with b'x'", "size": 1}
    with asked.databases.journal.begin() as connection:
        for reason, payload in (("not_json", b"x"), ("outside_consent", None)):
            connection.execute(insert(tables.set_aside).values(**row, reason=reason, payload=payload))
    first = client.get("/api/v1/set-aside?limit=1").json()
    rest = client.get("/api/v1/set-aside", params={"after": first["next"]}).json()
    found = [(item["reason"], item["kept"]) for item in first["items"] + rest["items"]]
    assert found == [("outside_consent", False), ("not_json", True)]


def test_readiness_names_what_is_missing_without_a_token(asked: api_parts.Asked) -> None:
    with asked.client("") as stranger:
        assert stranger.get("/livez").text == "alive\n"
        assert stranger.get("/readyz").json()["ready"] is True
        asked.checks.append(Check(name="series", ok=False, detail="no room", lag=12))
        answer = stranger.get("/readyz")
        assert (answer.status_code, answer.json()["missing"]) == (503, ["series"])


@on_both
def test_metrics_are_those_that_the_documentation_lists(asked: api_parts.Asked) -> None:
    asked.checks.append(Check(name="series", ok=True, lag=3))
    with asked.client() as client:
        client.get("/api/v1/sites")
        text = client.get("/metrics").text
    assert 'forewarn_projection_lag_entries{projection="series"} 3.0' in text
    assert 'forewarn_api_requests_total{method="GET",route="/api/v1/sites",status="200"} 1.0' in text
    kinds = set(re.findall(r"^# TYPE (forewarn_\w+) ", text, re.MULTILINE))
    told = {name.removesuffix("_total") for name in kinds if not name.endswith("_created")}
    listed = set(re.findall(r"^\| `(forewarn_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    assert told == listed


def test_the_description_is_the_committed_one() -> None:
    committed = json.loads((ROOT / "docs/openapi.json").read_text())
    assert routes().openapi() == committed, "run `forewarn collector openapi > docs/openapi.json`"


def test_the_description_is_served_and_no_page_is_fetched_from_elsewhere(client: httpx.Client) -> None:
    assert client.get("/api/v1/openapi.json").json()["info"]["title"] == "forewarn collector"
    assert client.get("/docs").status_code == 404


def test_a_body_that_is_not_text_is_a_bad_request(client: httpx.Client) -> None:
    answer = client.post("/api/v1/tickets", content=b"\x0c\xe9", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (400, "the body is not JSON in UTF-8")


def test_a_method_that_is_not_possible_is_answered_with_those_that_are(client: httpx.Client) -> None:
    answer = client.delete("/api/v1/tickets")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert answer.json()["detail"] == "DELETE is not possible here, GET, POST is"


@on_both
def test_a_ticket_of_a_rule_tells_why_in_words(asked: api_parts.Asked, client: httpx.Client) -> None:
    evidence = Evidence("charge_percent < 50", 41.0, 50.0, held=True, unit="percent", spare="fires unless >= 50")
    reason = Reason("ups.on_battery", "library/power.yaml:3", "v1", "critical", 5, [evidence], {"on_battery": 1.0})
    turn = (Turn.OPENED, "s1", "a1", "ups1", "ups.on_battery", "ups", "", "critical", 5, 6, 7)
    with asked.databases.service.begin() as connection:
        asked.parts.tickets.apply([Finding(*turn, reason, {"en": "ups1 runs on battery"})], 7, connection)
    found = client.get("/api/v1/tickets?rule=ups.on_battery&holds=true").json()["items"]
    whole = client.get(f"/api/v1/tickets/{found[0]['id']}").json()
    assert whole["reason"]["evidence"][0]["value"] == 41.0
    assert "charge_percent < 50" in whole["explanation"]
    assert [event["actor"] for event in whole["events"]] == ["forewarn"]


def test_a_process_that_only_takes_in_answers_health_and_nothing_else(asked: api_parts.Asked) -> None:
    server = Server(application(asked.parts, serves=False), bound("127.0.0.1", 0))
    server.start()
    token = {"Authorization": f"Bearer {api_parts.TOKEN}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=token, trust_env=False) as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/api/v1/sites").status_code == 404
    server.close()
