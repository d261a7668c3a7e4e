"""What the API says of rules: what each says, what it costs, and how often people found it right."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from collector.evaluation import costs
from collector.evaluation.costs import RuleCost
from tests import api_parts
from tests.findings import finding

on_both = pytest.mark.parametrize("asked", ["sqlite", "postgresql"], indirect=True)
RULE = next(rule for rule in api_parts.RULES.rules if rule.id == "volume.filling")


def opened(asked: api_parts.Asked, position: int, version: str) -> str:
    """A ticket of the rule, at an instance of its own."""
    found = finding(position=position, instance=f"/{position}")
    found = msgspec.structs.replace(found, reason=msgspec.structs.replace(found.reason, version=version))
    with asked.databases.service.begin() as connection:
        asked.parts.tickets.apply([found], position, connection)
    return asked.parts.tickets.search().tickets[0].id


def test_a_rule_says_when_it_holds_and_what_its_ticket_says(client: httpx.Client) -> None:
    rule = client.get("/api/v1/rules/volume.full").json()
    assert (rule["table"], rule["where"], rule["when"]) == (
        "volume",
        "overwrite == 0",
        {"critical": "used_percent >= 98 for 10m"},
    )
    assert rule["recover"].startswith("used_percent < 96 for ")
    assert "{device}" in rule["title"]["en"]
    assert "{device}" in rule["title"]["zh"]
    assert rule["state_bytes"] > 0
    assert rule["cost"] is None
    assert client.get("/api/v1/rules/no.such").json()["detail"] == "there is no rule `no.such` in force"


@on_both
def test_rules_are_listed_page_by_page_with_their_tickets(client: httpx.Client, asked: api_parts.Asked) -> None:
    first = client.get("/api/v1/rules?limit=3").json()
    rest = client.get("/api/v1/rules", params={"after": first["next"]}).json()
    names = [rule["id"] for rule in first["items"] + rest["items"]]
    assert names == [rule.id for rule in api_parts.RULES.rules]
    assert rest["next"] is None


@on_both
def test_an_improved_rule_is_judged_anew(client: httpx.Client, asked: api_parts.Asked) -> None:
    book = asked.parts.tickets
    book.mark_false(opened(asked, 1, "older"), "Mei", "too tight")
    for position in (2, 3, 4):
        book.resolve(opened(asked, position, RULE.version), "Mei", "disk replaced")
    opened(asked, 5, RULE.version)
    said = client.get(f"/api/v1/rules/{RULE.id}").json()
    assert (said["judged"]["tickets"], said["judged"]["open"], said["judged"]["false"]) == (4, 1, 0)
    now = said["judged"]["recent"]
    assert (now["judged"], now["right"], now["share"], now["high"], now["few"]) == (3, 3, 1.0, 1.0, True)
    assert now["low"] == pytest.approx(0.4385, abs=1e-4)
    older = next(one for one in said["versions"] if one["version"] == "older")
    assert (older["tickets"], older["false"], older["ever"]["share"]) == (1, 1, 0.0)
    never = client.get("/api/v1/rules/volume.full").json()["judged"]["ever"]
    assert never == {"judged": 0, "right": 0, "share": None, "low": None, "high": None, "few": False}


@on_both
def test_what_the_evaluating_process_measured_is_read_by_whoever_serves(
    client: httpx.Client, asked: api_parts.Asked
) -> None:
    service = asked.databases.service
    figure = RuleCost(RULE.id, RULE.version, 800, 50, 7_000, 12.5, 0.03, 1, 2)
    other = figure._replace(rule="volume.full", version="another", busy=0.01)
    costs.keep(service, [figure, other, figure._replace(rule="old.rule")])
    costs.keep(service, [figure, other])
    assert set(costs.kept(service)) == {RULE.id, "volume.full"}
    assert client.get(f"/api/v1/rules/{RULE.id}").json()["cost"] == {
        "series": 50,
        "bytes": 40_000,
        "evaluations": 7_000,
        "evaluations_per_second": 12.5,
        "time_share": 0.75,
        "since": 1,
        "at": 2,
    }
    assert client.get("/api/v1/rules/volume.full").json()["cost"] is None


def test_a_ticket_is_marked_and_found_by_its_mark(client: httpx.Client, asked: api_parts.Asked) -> None:
    id_ = opened(asked, 1, "v")
    path = f"/api/v1/tickets/{id_}"
    silent = client.post(f"{path}/mark-false", json={})
    assert (silent.status_code, silent.json()["errors"][0]["at"]) == (422, "body.why")
    blank = client.post(f"{path}/mark-false", json={"why": "  "})
    assert (blank.status_code, blank.json()["detail"]) == (409, "a text is needed: `why` is empty")
    marked = client.post(f"{path}/mark-false", json={"why": "sensor wrong"}).json()
    assert (marked["state"], marked["false_by"], marked["false_why"]) == ("resolved", "Mei", "sensor wrong")
    assert [event["kind"] for event in marked["events"]] == ["opened", "marked_false", "resolved"]
    assert [one["id"] for one in client.get("/api/v1/tickets?false_alarm=true").json()["items"]] == [id_]
    assert client.get("/api/v1/tickets?false_alarm=false").json()["items"] == []
    again = client.post(f"{path}/mark-false", json={"why": "x"})
    assert (again.status_code, again.json()["detail"]) == (409, "already marked as a false alarm")
    plain = client.post(f"{path}/unmark-false", json={"text": "it was right"}).json()
    assert (plain["state"], plain["false_at"], plain["events"][-1]["detail"]["note"]) == (
        "resolved",
        None,
        "it was right",
    )


@pytest.mark.parametrize(
    ("act", "body", "said"),
    [
        ("comment", {"text": " "}, "a text is needed: `text` is empty"),
        ("resolve", {"cause": " "}, "a text is needed: `cause` is empty"),
        ("close", {"text": ""}, "the condition still holds: say why it is closed all the same: `text` is empty"),
    ],
)
def test_a_refusal_for_want_of_words_names_the_key(
    client: httpx.Client, asked: api_parts.Asked, act: str, body: dict[str, str], said: str
) -> None:
    answer = client.post(f"/api/v1/tickets/{opened(asked, 1, 'v')}/{act}", json=body)
    assert (answer.status_code, answer.json()["detail"]) == (409, said)


def test_metrics_tell_of_each_rule(client: httpx.Client, asked: api_parts.Asked) -> None:
    book = asked.parts.tickets
    book.mark_false(opened(asked, 1, "older"), "Mei", "too tight")
    book.resolve(opened(asked, 2, RULE.version), "Mei", "disk replaced")
    opened(asked, 3, RULE.version)
    costs.keep(asked.databases.service, [RuleCost(RULE.id, RULE.version, 800, 50, 7_000, 12.5, 0.03, 1, 2)])
    said = client.get("/metrics").text
    for line in ("judged", "false_alarms", "series", "evaluations_total"):
        assert f'forewarn_rule_{line}{{rule="volume.filling"}}' in said
    assert 'forewarn_rule_judged{rule="volume.filling"} 2.0\n' in said
    assert 'forewarn_rule_false_alarms{rule="volume.filling"} 1.0\n' in said
    assert 'forewarn_rule_evaluations_total{rule="volume.filling"} 7000.0\n' in said
