"""Nobody passes the console's door without a session, and nothing acts that another page has sent."""

from __future__ import annotations

import asyncio
import re
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from collector.console.door import Door
from collector.console.sessions import COOKIE, Sessions, cookie, secret, set_cookie
from collector.console.visit import Visit, preferences
from collector.register import token_digest

HERE = "http://127.0.0.1:8080"
ORIGIN = {"origin": HERE}


class House:
    """A door before a page that greets whoever comes in; `people` are the actors by token."""

    def __init__(self) -> None:
        self.people = {"t-mei": "Mei"}
        self.sessions = Sessions("s" * 64, self._actor)
        self.door = Door(self._page, self.sessions, self._visit)

    def _actor(self, digest: str) -> str | None:
        return next((actor for token, actor in self.people.items() if token_digest(token) == digest), None)

    def _visit(self, headers: dict[str, str], digest: str, actor: str) -> Visit:
        say, theme, zone = preferences(headers, "auto")
        nothing: Any = None
        return Visit(nothing, nothing, nothing, self.sessions, say, theme, zone, digest, actor)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        visit = scope["state"]["visit"]
        await PlainTextResponse(f"{visit.actor} {visit.say.language} {visit.theme} {visit.zone}")(scope, receive, send)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.door)
            async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
                return await client.request(method, path, **more)

        return asyncio.run(asked())

    def session(self, token: str = "t-mei") -> dict[str, str]:
        answer = self.ask("POST", "/login", data={"token": token}, headers=ORIGIN)
        found = re.match(rf"{COOKIE}=([^;]+);", answer.headers["set-cookie"])
        assert found is not None
        return {"cookie": f"{COOKIE}={found[1]}"}

    def socket(self, headers: dict[str, str]) -> list[str]:
        """What the door answers to a socket."""
        sent: list[str] = []

        async def asked() -> None:
            async def send(message: Any) -> None:
                sent.append(message["type"])

            raw = [(b"host", b"127.0.0.1:8080"), *((k.encode(), v.encode()) for k, v in headers.items())]
            scope = {"type": "websocket", "path": "/_nicegui_ws/socket.io", "headers": raw, "query_string": b""}
            await self.door(scope, _nothing, send)

        asyncio.run(asked())
        return sent


async def _nothing() -> Any:
    return {"type": "websocket.connect"}


@pytest.fixture
def house() -> House:
    return House()


def test_a_stranger_is_led_to_the_login_and_then_where_they_wanted_to_go(house: House) -> None:
    led = house.ask("GET", "/tickets?state=open")
    assert (led.status_code, led.headers["location"]) == (303, "/login?next=/tickets%3Fstate%3Dopen")
    answer = house.ask("POST", led.headers["location"], data={"token": " t-mei "}, headers=ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/tickets?state=open")
    assert "HttpOnly; SameSite=Lax" in answer.headers["set-cookie"]
    assert house.ask("GET", "/", headers=house.session()).text.startswith("Mei ")


def test_assets_and_sockets_are_refused_to_strangers(house: House) -> None:
    assert house.ask("GET", "/_nicegui/3/vue.js").status_code == 401
    assert house.socket(ORIGIN) == ["websocket.close"]
    assert house.socket({**ORIGIN, **house.session()}) == ["websocket.accept"]


def test_a_wrong_token_is_refused_in_the_language_of_the_browser(house: House) -> None:
    said = {"zh-CN,zh;q=0.9": "令牌无效或已撤销。", "en-GB": "This token is not known or was revoked."}
    for language, words in said.items():
        answer = house.ask("POST", "/login", data={"token": "guess"}, headers={**ORIGIN, "accept-language": language})
        assert answer.status_code == 401
        assert words in answer.text
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null", ""])
def test_what_another_page_sends_is_refused(house: House, origin: str) -> None:
    mine = house.session()
    foreign = {**mine, "origin": origin} if origin else mine
    assert house.ask("POST", "/logout", headers=foreign).status_code == 403
    assert house.ask("POST", "/login", data={"token": "t-mei"}, headers=foreign).status_code == 403
    assert house.ask("POST", "/_nicegui_ws/socket.io", headers=foreign).status_code == 403
    assert house.socket(foreign) == ["websocket.close"]


@pytest.mark.parametrize(
    "onward", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "/login", "x"]
)
def test_a_login_never_leads_elsewhere(house: House, onward: str) -> None:
    answer = house.ask("POST", "/login", params={"next": onward}, data={"token": "t-mei"}, headers=ORIGIN)
    assert answer.headers["location"] == "/"


def test_a_session_ends_with_its_token_its_signature_or_a_logout(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = house.session()
    forged = {"cookie": mine["cookie"][:-3] + "AAA"}
    assert house.ask("GET", "/", headers=forged).status_code == 303
    other = {"cookie": f"{COOKIE}={Sessions('other' * 9, lambda _: 'Mei').begin('t-mei')}"}
    assert house.ask("GET", "/", headers=other).status_code == 303
    left = house.ask("POST", "/logout", headers={**ORIGIN, **mine})
    assert f"{COOKIE}=; Path=/; Max-Age=0" in left.headers["set-cookie"]
    house.people.clear()
    house.sessions.actors._known.clear()  # Two seconds later.
    assert house.ask("GET", "/", headers=mine).status_code == 303


def test_every_answer_keeps_the_browser_at_home(house: House) -> None:
    for path in ("/login", "/", "/tickets"):
        headers = house.ask("GET", path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


def test_a_login_form_is_bounded(house: House) -> None:
    assert house.ask("POST", "/login", content=b"token=" + b"x" * 5000, headers=ORIGIN).status_code == 401


def test_preferences_are_taken_only_where_they_make_sense(house: House) -> None:
    mine = house.session()["cookie"]
    chosen = f"{mine}; forewarn_language=zh; forewarn_theme=dark; forewarn_zone=Asia/Shanghai"
    assert house.ask("GET", "/", headers={"cookie": chosen}).text == "Mei zh dark Asia/Shanghai"
    odd = f"{mine}; forewarn_language=xx; forewarn_theme=<b>; forewarn_zone=../../etc/passwd"
    assert house.ask("GET", "/", headers={"cookie": odd}).text == "Mei en auto UTC"


def test_the_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    made = secret(folder)
    assert secret(folder) == made
    assert len(made) == 64
    assert [file.name for file in folder.iterdir()] == ["console.secret"]
    assert stat.S_IMODE((folder / "console.secret").stat().st_mode) == 0o600


def test_cookies_are_read_beside_those_of_others() -> None:
    assert cookie('a=1; forewarn_theme="dark"; b={"x":1}', "forewarn_theme") == "dark"
    assert "Secure" in set_cookie("x", secure=True)
    assert "Secure" not in set_cookie("x", secure=False)
