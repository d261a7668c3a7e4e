"""What notices are sent to in tests: a real mail server and a real HTTP receiver, both able to refuse."""

from __future__ import annotations

import contextlib
import email
import email.policy
import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.servers import free_port


@dataclass
class Mailbox:
    """An SMTP server; `answers` are given, one each, to the next messages instead of taking them."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    """Recipients that are refused, and how."""

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's name
        if address in self.unknown:
            return self.unknown[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        if self.answers:
            return self.answers.pop(0)
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 taken"


@contextlib.contextmanager
def mailbox(**options: Any) -> Iterator[Mailbox]:
    """A mail server on loopback; `options` are aiosmtpd's (tls_context, authenticator, ...)."""
    box = Mailbox(free_port())
    controller = Controller(box, hostname="127.0.0.1", port=box.port, **options)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


def knows(user: str, password: str):
    """An authenticator that lets one user in."""

    def check(server, session, envelope, mechanism, data):
        right = data.login == user.encode() and data.password == password.encode()
        return AuthResult(success=right, handled=right)

    return check


@dataclass
class Receiver:
    """An HTTP server that keeps what is posted; `answers` (status, or seconds to stay silent) go to the next posts."""

    port: int = 0
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int | float] = field(default_factory=list)
    asked: int = 0


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """A webhook receiver on loopback."""
    kept = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.asked += 1
            answer = kept.answers.pop(0) if kept.answers else 204
            if isinstance(answer, float):
                time.sleep(answer)
                return
            if answer < 300:
                kept.posts.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(answer)
            if 300 <= answer < 400:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "0" if answer == 204 else "4")
            self.end_headers()
            self.wfile.write(b"" if answer == 204 else b"well")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
