"""Whether a camera's or recorder's stream is there: RTSP OPTIONS and DESCRIBE (RFC 2326), never SETUP and PLAY.

Nothing of the picture is asked for: the description names the codec, and that is all that comes. Without a user, or
where the user is refused, a device that asks for one is up, and whether the stream is there is not known.

A refused password is not said again for half an hour: see `agent.devices.lockout`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import NamedTuple

from agent.devices.lockout import Lockout
from agent.probes.probe import Found, answered, silent, unconnected
from agent.reading import Clock
from agent.settings.probes import ProbeSetting
from agent.web.digest import Answering, NoAnswer, chosen

_MOST = 64 * 1024
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404
_HEAD = re.compile(r"RTSP/\d\.\d (\d{3})")


Turns = Callable[[], AbstractAsyncContextManager[None]]


class _Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: str

    def all(self, name: str) -> list[str]:
        return [text for known, text in self.headers if known == name]


class _Garbled(Exception):
    pass


class Rtsp:
    """One stream of one device. `lockout` knows what passwords the device refused; `turns` gives what to hold meanwhile.

    No turn is held while it waits for another source to have said its password: that one needs a turn for it.
    """

    fields: tuple[str, ...] = ("up", "latency_seconds", "stream", "status", "status_code")

    def __init__(
        self,
        address: str,
        setting: ProbeSetting,
        *,
        clock: Clock,
        timeout: float = 2.0,
        lockout: Lockout | None = None,
        turns: Turns = nullcontext,
    ) -> None:
        self.label = setting.label
        self._at = address, setting.at_port
        host = f"[{address}]" if ":" in address else address
        port = f":{setting.at_port}" if setting.port is not None else ""
        self._whole = f"rtsp://{host}{port}{setting.rtsp}"
        self._setting = setting
        self._timeout = timeout
        self._lockout = lockout or Lockout(clock)
        self._turns = turns
        self._by = f"rtsp {self._whole}"
        self._turn = 0

    async def look(self) -> Found:
        """See Probe."""
        try:
            async with self._turns(), asyncio.timeout(self._timeout):
                begun = time.monotonic()
                reader, writer = await asyncio.open_connection(*self._at, limit=_MOST)
                took = time.monotonic() - begun
        except OSError as wrong:
            return unconnected(wrong, self._at[1], self._timeout)
        try:
            async with self._turns(), asyncio.timeout(self._timeout):
                begun = time.monotonic()
                await self._asked(reader, writer, "OPTIONS")
                took += time.monotonic() - begun
                answer = await self._asked(reader, writer, "DESCRIBE")
            answer, why = await self._described(reader, writer, answer)
        except TimeoutError:
            return silent(
                f"TCP port {self._at[1]} is open, but RTSP did not answer within {self._timeout:g} s", there=True
            )
        except (_Garbled, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            return silent(f"what answers on TCP port {self._at[1]} is no RTSP", there=True)
        finally:
            writer.close()
        return _judged(answer, why, took)

    async def _described(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: _Answer
    ) -> tuple[_Answer, str]:
        """The answer to DESCRIBE, asked again with the password where `answer` wants one; and why there is no other."""
        if answer.status != _UNAUTHORIZED:
            return answer, ""
        try:
            password = self._setting.login()
            challenge = chosen(answer.all("www-authenticate"), basic=self._setting.basic)
        except OSError as wrong:
            return answer, f"its password cannot be read: {wrong.strerror or wrong}"
        except NoAnswer as wrong:
            return answer, str(wrong)
        if password is None:
            return answer, "it asks for a user"
        async with self._lockout.turn:
            if not self._lockout.left(password, self._by) and not reader.at_eof():
                told = await self._told(reader, writer, Answering(challenge, password))
                if told is not None and told.status != _UNAUTHORIZED:
                    self._lockout.accepted(password, self._by)
                    return told, ""
                how = "credentials refused for" if told is not None else "it hangs up when told the password of"
                self._lockout.refused(password, self._by, f"{how} user `{password.user}`")
            left = self._lockout.left(password, self._by)
        refused = f"{self._lockout.why(password)}; not said again for {left / 60:.0f} min"
        return answer, refused if left else "it asks for a user, and closes the connection"

    async def _told(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answering: Answering
    ) -> _Answer | None:
        """The answer to who says a password; None where it hangs up, as some do that refuse."""
        try:
            async with self._turns(), asyncio.timeout(self._timeout):
                return await self._asked(reader, writer, "DESCRIBE", answering)
        except (ConnectionError, asyncio.IncompleteReadError):
            return None

    async def _asked(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        method: str,
        answering: Answering | None = None,
    ) -> _Answer:
        self._turn += 1
        lines = [f"{method} {self._whole} RTSP/1.0", f"CSeq: {self._turn}", "User-Agent: forewarn"]
        lines += ["Accept: application/sdp"] if method == "DESCRIBE" else []
        said = [line.encode() for line in lines]
        if answering is not None:
            said.append(b"Authorization: " + answering.header(method, self._whole).encode("latin-1"))
        writer.write(b"".join(line + b"\r\n" for line in [*said, b""]))
        await writer.drain()
        head, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        found = _HEAD.match(head)
        if found is None:
            raise _Garbled
        headers = [(name.strip().lower(), text.strip()) for name, _, text in (line.partition(":") for line in rest)]
        length = int(next((text for name, text in headers if name == "content-length"), "0"))
        if not 0 <= length <= _MOST:
            raise _Garbled
        body = await reader.readexactly(length)
        return _Answer(int(found[1]), headers, body.decode("latin-1"))


def _judged(answer: _Answer, why: str, took: float) -> Found:
    found = answered(took, status_code=float(answer.status))
    if answer.status == _OK:
        codec = _codec(answer.body)
        there = re.search(r"^m=video ", answer.body, re.MULTILINE) is not None
        values = {**found.values, "stream": float(there), "status": 0.0 if there else 2.0}
        texts = {"stream": codec} if codec else {}
        return found._replace(values=values, texts=texts, why="" if there else "described without a picture")
    if answer.status in (_UNAUTHORIZED, _FORBIDDEN):
        return found._replace(values={**found.values, "status": 3.0}, why=why or f"RTSP status {answer.status}")
    there_not = {"stream": 0.0} if answer.status == _NOT_FOUND or answer.status >= 500 else {}  # noqa: PLR2004 - the server's own faults
    return found._replace(values={**found.values, **there_not, "status": 2.0}, why=f"RTSP status {answer.status}")


def _codec(description: str) -> str:
    """How the picture is coded, as the description (SDP, RFC 8866) names it."""
    picture = re.search(r"^m=video .*?(?=^m=|\Z)", description, re.MULTILINE | re.DOTALL)
    found = re.search(r"^a=rtpmap:\d+ ([\w.-]+)", picture[0], re.MULTILINE) if picture is not None else None
    return found[1] if found is not None else ""
