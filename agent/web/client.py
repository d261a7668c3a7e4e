"""One device's web interface over HTTP(S): a request at a time, answers bounded, a redirection followed nowhere.

h11 speaks HTTP; it costs half a megabyte, where the usual clients cost twenty. The password is said by Digest alone, so
that nobody on the way reads it, and once only when it is refused.

Errors, all WebError:
    Unanswered   nobody answered, or what answered broke off; `there` tells whether anybody is there
    Denied       user or password refused
    Garbled      an answer that is no HTTP, or longer than it may be
"""

from __future__ import annotations

import asyncio
import errno
import functools
import ssl
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import h11

from agent.settings.login import Password
from agent.web.digest import Answering, NoAnswer, chosen

LONGEST = 1024 * 1024
"""Octets of an answer that we read."""
_PIECE = 65536
_UNAUTHORIZED = 401


class WebError(Exception):
    """No answer to go by. `there` tells whether somebody answered at all."""

    there = True


class Unanswered(WebError):
    """Nobody answered, or what answered broke off."""

    def __init__(self, why: str, *, there: bool = False) -> None:
        super().__init__(why)
        self.there = there


class _HungUp(Unanswered):
    """It took the request, and closed the connection without a word."""


class Denied(WebError):
    """User or password refused."""


class Garbled(WebError):
    """An answer that is no HTTP, or longer than it may be."""


class Answer(NamedTuple):
    """What came; the names of `headers` are in lower case, one that came twice stands twice."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@functools.cache
def unjudged() -> ssl.SSLContext:
    """TLS with whatever certificate and age of protocol: cameras sign their own, and few speak what is recent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def judged(ca: Path | None) -> ssl.SSLContext:
    """TLS that takes only certificates signed by those in `ca`, or those the system trusts.

    A file that was replaced is read anew.

    Raises:
        OSError: the file cannot be read, or holds no certificate.
    """
    if ca is None:
        return _judged(None, ())
    found = ca.stat()
    return _judged(ca, (found.st_ino, found.st_size, found.st_mtime_ns))


@functools.lru_cache(64)
def _judged(ca: Path | None, _: tuple[int, ...]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca)


class Web:
    """A connection to one device, opened when it is needed and again when it was closed.

    Args:
        address: the device's IP address.
        port: its TCP port.
        tls: None for plain HTTP.
        password: said when the device asks for it.
        timeout: seconds for one request and its answer.
        turns: held during each request.
        heard: called when the device takes a connection.
    """

    def __init__(
        self,
        address: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        password: Password | None = None,
        timeout: float = 5.0,
        turns: asyncio.Semaphore | None = None,
        heard: Callable[[], None] | None = None,
    ) -> None:
        self._heard = heard
        self._turns = turns or nullcontext()
        self._address = address
        self._port = port
        self._tls = tls
        self.password = password
        self._timeout = timeout
        self._host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._http = h11.Connection(h11.CLIENT)
        self._answering: Answering | None = None
        self.shown: bytes | None = None
        """The certificate the device showed last, DER; None without TLS."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, what: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the socket back."""
        if self._streams is not None:
            # A farewell by TLS would wait for the device's.
            self._streams[1].transport.abort()
            self._streams = None

    @property
    def said(self) -> bool:
        """Whether the password was said, and not refused."""
        return self._answering is not None

    async def get(self, path: str) -> Answer:
        """Reads `path`.

        Raises:
            WebError: see above.
        """
        return await self._asked("GET", path, b"", "")

    async def glance(self, path: str) -> Answer:
        """Asks for `path` and reads how it is answered, without the body; says no password.

        Raises:
            WebError: see above.
        """
        async with self._turns:
            return await self._timed("GET", path, b"", "", whole=False)

    async def post(self, path: str, body: bytes, kind: str) -> Answer:
        """Asks a question that needs a body of its own, as SOAP does.

        Raises:
            WebError: see above.
        """
        return await self._asked("POST", path, body, kind)

    async def _asked(self, method: str, path: str, body: bytes, kind: str) -> Answer:
        async with self._turns:
            answer = await self._timed(method, path, body, kind)
        if answer.status != _UNAUTHORIZED or self.password is None:
            return answer
        said = self._answering is not None
        try:
            challenge = chosen(text for name, text in answer.headers if name == "www-authenticate")
        except NoAnswer as wrong:
            raise Denied(str(wrong)) from None
        if said and not challenge.stale:
            self._answering = None
            raise Denied(f"credentials refused for user `{self.password.user}`")
        self._answering = Answering(challenge, self.password)
        try:
            async with self._turns:
                answer = await self._timed(method, path, body, kind)
        except _HungUp:
            # A moment ago it answered: this is how it refuses, and each further try would bring the account to its lock.
            self._answering = None
            raise Denied(f"it hangs up when told the password of user `{self.password.user}`") from None
        if answer.status == _UNAUTHORIZED:
            self._answering = None
            raise Denied(f"credentials refused for user `{self.password.user}`")
        return answer

    async def _timed(self, method: str, path: str, body: bytes, kind: str, *, whole: bool = True) -> Answer:
        """One request and its answer, or the `whole` of it; whatever breaks off leaves no connection open.

        Raises:
            Unanswered, Garbled: see above.
        """
        reused, done = self._streams is not None, False
        try:
            async with asyncio.timeout(self._timeout):
                try:
                    answer = await self._exchanged(method, path, body, kind, whole=whole)
                except (ConnectionError, h11.RemoteProtocolError):
                    if not reused:
                        raise
                    # It closed what it had left open: that is no failure yet.
                    self.close()
                    answer = await self._exchanged(method, path, body, kind, whole=whole)
        except h11.LocalProtocolError as wrong:
            raise Garbled(f"`{path}` cannot be asked for: {wrong}") from None
        except h11.RemoteProtocolError as wrong:
            raise Garbled(f"port {self._port} answers, but no HTTP: {wrong}") from None
        except TimeoutError:
            there = self._streams is not None
            raise Unanswered(f"did not answer within {self._timeout:g} s", there=there) from None
        except OSError as wrong:
            raise self._unanswered(wrong) from None
        else:
            done = True
            return answer
        finally:
            if not done:
                self.close()

    def _unanswered(self, wrong: OSError) -> Unanswered:
        if isinstance(wrong, ssl.SSLCertVerificationError):
            return Unanswered(f"its certificate is not accepted: {wrong.verify_message}", there=True)
        if isinstance(wrong, ssl.SSLError):
            return Unanswered(f"TLS failed on port {self._port}: {wrong.reason or wrong}", there=True)
        if wrong.errno == errno.ECONNREFUSED:
            return Unanswered(f"it refuses connections to TCP port {self._port}", there=True)
        if isinstance(wrong, ConnectionError) and self._streams is not None:
            return _HungUp(f"no answer from TCP port {self._port}: {wrong.strerror or wrong}", there=True)
        return Unanswered(f"no connection to TCP port {self._port}: {wrong.strerror or wrong}")

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            name = self._address if self._tls is not None else None
            self._streams = await asyncio.open_connection(
                self._address, self._port, ssl=self._tls, server_hostname=name
            )
            if self._heard is not None:
                self._heard()
            self._http = h11.Connection(h11.CLIENT)
            shown = self._streams[1].get_extra_info("ssl_object")
            self.shown = shown.getpeercert(binary_form=True) if shown is not None else None
        return self._streams

    async def _exchanged(self, method: str, path: str, body: bytes, kind: str, *, whole: bool) -> Answer:
        reader, writer = await self._open()
        headers = [(b"Host", self._host.encode()), (b"User-Agent", b"forewarn"), (b"Accept", b"*/*")]
        if body:
            headers += [(b"Content-Type", kind.encode()), (b"Content-Length", str(len(body)).encode())]
        if self._answering is not None:
            headers.append((b"Authorization", self._answering.header(method, path).encode("latin-1")))
        writer.write(self._http.send(h11.Request(method=method, target=path, headers=headers)) or b"")
        writer.write(b"".join(self._http.send(event) or b"" for event in _rest(body)))
        await writer.drain()
        answer = await self._answered(reader, whole=whole)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.close()
        return answer

    async def _answered(self, reader: asyncio.StreamReader, *, whole: bool) -> Answer:
        head: h11.Response | None = None
        body: list[bytes] = []
        size = 0
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                piece = await reader.read(_PIECE)
                if not piece and head is None and not self._http.trailing_data[0]:
                    raise ConnectionResetError(errno.ECONNRESET, "it closed the connection")
                self._http.receive_data(piece)
            elif isinstance(event, h11.Response):
                head = event
                if not whole:
                    return _answer(head, b"")
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size > LONGEST:
                    self.close()
                    raise Garbled(f"its answer is longer than {LONGEST} octets")
                body.append(bytes(event.data))
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionResetError(errno.ECONNRESET, "it closed the connection")
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                return _answer(head, b"".join(body))


def _answer(head: h11.Response, body: bytes) -> Answer:
    named = [(name.decode("latin-1"), text.decode("latin-1")) for name, text in head.headers]
    return Answer(head.status_code, named, body)


def _rest(body: bytes) -> list[h11.Event]:
    return [*([h11.Data(data=body)] if body else []), h11.EndOfMessage()]


async def certificate_faults(address: str, port: int, context: ssl.SSLContext, *, name: str, within: float) -> str:
    """Why a certificate is not accepted, in words; "" when it is.

    Raises:
        OSError: nobody answered; TimeoutError among them.
    """
    async with asyncio.timeout(within):
        try:
            _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name or address)
        except ssl.SSLCertVerificationError as wrong:
            return wrong.verify_message
        writer.transport.abort()
    return ""
