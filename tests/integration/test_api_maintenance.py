"""Maintenance over HTTP: started, extended and ended in one's own name, and what was held is listed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from collector.storage.database import open_sqlite
from collector.tickets.book import Book
from collector.tickets.holding import Moment
from rules.finding import Turn
from tests import api_parts
from tests.findings import finding

HOME = "/api/v1/sites/s1/maintenance"


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[api_parts.Asked]:
    databases = open_sqlite(tmp_path)
    yield api_parts.opened(databases)
    databases.close()


@pytest.fixture
def client(asked: api_parts.Asked) -> Iterator[httpx.Client]:
    with asked.client() as made:
        yield made


def started(client: httpx.Client, **also) -> dict:
    answer = client.post(HOME, json={"minutes": 120, **also})
    assert answer.status_code == 201, answer.text
    return answer.json()


def taken(book: Book, *moments: Moment, device: str = "ups1", turn: Turn = Turn.OPENED, t: int = 0) -> None:
    with book._service.begin() as connection:
        position = book.cursor() + 1
        found = [finding(turn, position=position, device=device, t=t)] if t else []
        last = [one._replace(position=position) for one in moments]
        book.apply(found, position, connection, moments=last)


def test_it_is_started_in_the_name_of_who_asks_and_listed(client: httpx.Client) -> None:
    made = started(client, note="new switch")
    assert (made["site"], made["device"], made["actor"], made["note"]) == ("s1", "", "Mei", "new switch")
    assert made["ends"] - made["begins"] == 120 * 60_000
    assert (made["running"], made["released"], made["tickets"]) == (True, None, [])
    of_device = started(client, device="ups1")
    listed = client.get(HOME).json()
    assert [one["id"] for one in listed["items"]] == [of_device["id"], made["id"]]
    first = client.get(HOME, params={"limit": 1}).json()
    rest = client.get(HOME, params={"limit": 1, "after": first["next"]}).json()
    assert [first["items"][0]["id"], rest["items"][0]["id"], rest["next"]] == [of_device["id"], made["id"], None]


def test_what_is_held_is_not_among_the_tickets_but_where_one_asks_for_it(
    client: httpx.Client, asked: api_parts.Asked
) -> None:
    made, book = started(client), asked.parts.tickets
    taken(book, t=made["begins"] + 1)
    assert client.get("/api/v1/tickets").json()["items"] == []
    (held,) = client.get("/api/v1/tickets?held=true").json()["items"]
    assert held["held"] == made["id"]
    (told,) = client.get(HOME).json()["items"][0]["tickets"]
    assert (told["ticket"], told["device"], told["became"]) == (held["id"], "ups1", None)
    ended = client.post(f"{HOME}/{made['id']}/end").json()
    assert (ended["running"], ended["ended_by"]) == (False, "Mei")
    taken(book, Moment(0, ended["ends"], "agent-1"))
    assert [one["id"] for one in client.get("/api/v1/tickets").json()["items"]] == [held["id"]]
    assert client.get(HOME).json()["items"][0]["tickets"][0]["became"] == "open"


def test_it_is_extended_by_so_many_minutes(client: httpx.Client) -> None:
    made = started(client)
    later = client.post(f"{HOME}/{made['id']}/extend", json={"minutes": 30}).json()
    assert later["ends"] - made["ends"] == 30 * 60_000
    assert (made["extended_by"], later["extended_by"]) == ("", "Mei")


def test_what_cannot_be_is_answered_with_why(client: httpx.Client) -> None:
    made = started(client)
    here = f"{HOME}/{made['id']}"
    client.post(f"{here}/end")
    for path, body, status, says in (
        ("/api/v1/sites/nowhere/maintenance", {"minutes": 60}, 404, "`nowhere`"),
        (HOME, {"minutes": 60, "device": "nothing"}, 404, "`nothing`"),
        (HOME, {"minutes": 14}, 422, "body.minutes"),
        (HOME, {"minutes": 20161}, 422, "body.minutes"),
        (f"{HOME}/none/end", None, 404, "`none`"),
        (f"/api/v1/sites/s2/maintenance/{made['id']}/end", None, 404, "site `s2` has no maintenance"),
        (f"{here}/end", None, 409, "over: start another one"),
        (f"{here}/extend", {"minutes": 60}, 409, "over: start another one"),
    ):
        answer = client.post(path, json=body)
        assert (answer.status_code, says in answer.json()["detail"]) == (status, True), answer.text
    started(client)
    again = client.post(HOME, json={"minutes": 60})
    assert again.status_code == 409
    assert again.json()["detail"] == "there is a maintenance of the same scope already: extend it"
    assert client.get("/api/v1/sites/nowhere/maintenance").status_code == 404
