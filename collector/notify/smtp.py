"""Notices by mail: a plain text a person reads on a telephone, Chinese first, English below.

The Message-ID is made from the notice's id, so that a repeat is recognisable; all mails of one ticket form a thread.
What the operator's settings can mend (address, login, TLS, sender) is tried again; what the server refuses in the
message or in every recipient (5xx) is permanent.

Errors: `collector.notify.notifier.NotifyError`
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from collector.notify.compose import WORDS
from collector.notify.notifier import Notice, NotifyError
from collector.settings import Smtp
from forewarn.telemetry import Log

log = Log(__name__)

_PERMANENT = 500


class SmtpNotifier:
    """Sends each notice as one mail to all recipients."""

    name = "smtp"

    def __init__(self, settings: Smtp) -> None:
        self._settings = settings

    def send(self, notice: Notice) -> None:
        """Hands the mail to the server; returns when it took it for at least one recipient.

        Raises:
            NotifyError: it did not.
        """
        try:
            with self._connected() as server:
                refused = server.send_message(self._mail(notice))
        except smtplib.SMTPRecipientsRefused as wrong:
            raise self._refused(wrong.recipients) from wrong
        except smtplib.SMTPDataError as wrong:
            raise self._failed(_said(wrong), permanent=wrong.smtp_code >= _PERMANENT) from wrong
        except smtplib.SMTPResponseException as wrong:
            raise self._failed(_said(wrong)) from wrong
        except (smtplib.SMTPException, OSError) as wrong:
            raise self._failed(str(wrong) or type(wrong).__name__) from wrong
        if refused:
            log.warning("a mail was refused for some recipients", notice=notice.id, refused=str(refused))

    def reach(self) -> float | None:
        """Connects, secures and logs in as for a mail, and leaves without one.

        Returns:
            When the server's certificate ends (Unix seconds), None without TLS.

        Raises:
            NotifyError: it does not take us.
        """
        try:
            with self._connected() as server:
                sock = server.sock
                found = sock.getpeercert() if isinstance(sock, ssl.SSLSocket) else None
        except smtplib.SMTPResponseException as wrong:
            raise self._failed(_said(wrong)) from wrong
        except (smtplib.SMTPException, OSError) as wrong:
            raise self._failed(str(wrong) or type(wrong).__name__) from wrong
        ends = (found or {}).get("notAfter")
        return ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else None

    def _connected(self) -> smtplib.SMTP:
        chosen = self._settings
        trust = ssl.create_default_context(cafile=None)
        if chosen.ca_file is not None:
            trust.load_verify_locations(chosen.ca_file)
        if chosen.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(chosen.host, chosen.port, timeout=chosen.timeout, context=trust)
        else:
            server = smtplib.SMTP(chosen.host, chosen.port, timeout=chosen.timeout)
        with contextlib.ExitStack() as undo:
            undo.callback(server.close)
            if chosen.security == "starttls":
                server.starttls(context=trust)
            if chosen.user:
                server.login(chosen.user, chosen.login())
            undo.pop_all()
        return server

    def _mail(self, notice: Notice) -> EmailMessage:
        domain = self._settings.sender.rpartition("@")[2].strip(" >") or "forewarn.invalid"
        mail = EmailMessage()
        mail["Subject"] = _line(subject(notice))
        mail["From"] = self._settings.sender
        mail["To"] = ", ".join(self._settings.to)
        mail["Date"] = format_datetime(datetime.fromtimestamp(notice.recorded_at / 1000, UTC))
        mail["Message-ID"] = f"<{notice.id}@{domain}>"
        mail["References"] = f"<ticket.{notice.ticket}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content("\n\n\u2014\n\n".join(notice.body.values()) + "\n", charset="utf-8", cte="base64")
        return mail

    def _refused(self, recipients: dict[str, tuple[int, bytes]]) -> NotifyError:
        told = "; ".join(f"{who}: {code} {_text(what)}" for who, (code, what) in recipients.items())
        permanent = all(code >= _PERMANENT for code, _ in recipients.values())
        return self._failed(f"every recipient was refused: {told}", permanent=permanent)

    def _failed(self, why: str, *, permanent: bool = False) -> NotifyError:
        where = f"{self._settings.host}:{self._settings.port}"
        return NotifyError(self.name, f"{where}: {why}", permanent=permanent)


def subject(notice: Notice) -> str:
    """`[严重 critical] 已恢复正常 · TITLE (Recovered)`: what a person sees in the list of mails."""
    zh, en = WORDS["zh"], WORDS["en"]
    severity = f"{zh.get(notice.severity, '')} {notice.severity}".strip()
    title = notice.title.get("zh") or notice.title.get("en", "")
    happened = f"{zh.get(notice.event, '')} {en.get(notice.event, notice.event)}".strip()
    return f"[{severity}] {happened}: {title}"


def _line(text: str) -> str:
    """One line without control characters: a title must not add a header of its own."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _said(wrong: smtplib.SMTPResponseException) -> str:
    return f"{wrong.smtp_code} {_text(wrong.smtp_error)}"


def _text(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
