"""`forewarn rules explain TICKET`, asked of a running collector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.api.application import application
from collector.api.server import Server, bound
from collector.commands.rules import main
from collector.storage.database import open_sqlite
from rules.explain import explained
from tests import api_parts, servers
from tests.findings import finding


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[api_parts.Asked]:
    made = api_parts.opened(open_sqlite(tmp_path / "data"))
    yield made
    made.databases.close()


@pytest.fixture
def address(asked: api_parts.Asked, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = Server(application(asked.parts), bound("127.0.0.1", 0))
    server.start()
    monkeypatch.setenv("FOREWARN_URL", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("FOREWARN_TOKEN", api_parts.TOKEN)
    yield f"http://127.0.0.1:{server.port}"
    server.close()


@pytest.fixture
def ticket(asked: api_parts.Asked) -> str:
    with asked.databases.service.begin() as connection:
        asked.parts.tickets.apply([finding()], 1, connection)
    return asked.parts.tickets.search().tickets[0].id


@pytest.mark.usefixtures("address")
def test_a_ticket_is_explained_by_its_id(
    asked: api_parts.Asked, ticket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", ticket]) == 0
    said = capsys.readouterr().out.strip()
    assert said == f"nvr1: /data is full in about 41 h (open, warning)\n{explained(finding().reason)}"
    asked.parts.tickets.mark_false(ticket, "Mei", "too tight")
    assert main(["explain", ticket.lower()]) == 0
    assert capsys.readouterr().out.strip().endswith("Mei called it a false alarm: too tight")


def test_the_token_may_lie_in_a_file(
    address: str, ticket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FOREWARN_TOKEN")
    monkeypatch.delenv("FOREWARN_URL")
    assert main(["explain", ticket, "--url", address]) == 2
    assert "a token of the API is needed, in FOREWARN_TOKEN or a file by --token-file" in capsys.readouterr().err
    file = tmp_path / "token"
    file.write_text(f"{api_parts.TOKEN}\n")
    assert main(["explain", ticket, "--url", address, "--token-file", str(file)]) == 0
    assert "ttt(used_percent, 98) < 72h" in capsys.readouterr().out


@pytest.mark.usefixtures("address")
def test_what_cannot_be_explained_is_said_in_a_sentence(
    asked: api_parts.Asked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    by_hand = asked.parts.tickets.create(
        "Mei", site="s1", device="", severity="warning", title={"zh": "x", "en": "Key lost"}
    )

    def told(words: list[str]) -> str:
        assert main(["explain", *words]) == 2
        return capsys.readouterr().err.strip()

    assert told([by_hand.id]) == f"ticket `{by_hand.id}` (Key lost) was made by hand: no rule has a reason for it"
    assert told(["0" * 26]) == f"there is no ticket `{'0' * 26}`"
    assert (
        told(["no-such-file.json"]) == "`no-such-file.json` is neither a file nor a ticket's id (26 letters and digits)"
    )
    assert "is no address like http://127.0.0.1:8080" in told([by_hand.id, "--url", "localhost:8080"])
    closed = f"http://127.0.0.1:{servers.free_port()}"
    assert f"the collector does not answer at {closed}/" in told([by_hand.id, "--url", closed])
    monkeypatch.setenv("FOREWARN_TOKEN", "another")
    assert "the collector does not know this token" in told([by_hand.id])
