"""Who is told of tickets: the ways are tried up to where a message would be given, and none is.

Errors: none; what is wrong is told.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from collector.doctor.databases import Opened
from collector.notify.notifier import NotifyError
from collector.notify.outbox import Sender
from collector.notify.smtp import SmtpNotifier
from collector.settings import Settings, Smtp, Webhook
from collector.storage.database import StorageError
from forewarn.doctor.diagnosis import Diagnosis, fail, ok, span, warn
from forewarn.doctor.reach import Unreached, certificate, reach

_LATE = 3600


def look(settings: Settings, opened: Opened, now: int) -> Iterator[Diagnosis]:
    """Mail, webhook, and what waits for them."""
    notices = settings.notices
    if notices.smtp is None and notices.webhook is None:
        yield ok("notices", "nobody is told of tickets by mail or webhook: `notices` is not set")
    if notices.smtp is not None:
        yield from _mail(notices.smtp)
    if notices.webhook is not None:
        yield from _webhook(notices.webhook)
    yield from _waiting(settings, opened, now)


def _mail(smtp: Smtp) -> Iterator[Diagnosis]:
    subject = f"mail {smtp.host}:{smtp.port}"
    try:
        reach(smtp.host, smtp.port, key="notices.smtp")
        ends = SmtpNotifier(smtp).reach()
    except Unreached as wrong:
        yield fail(subject, str(wrong), wrong.remedy)
        return
    except NotifyError as wrong:
        yield fail(subject, str(wrong), _remedy(wrong.__cause__, smtp))
        return
    yield ok(subject, f"takes `{smtp.user}`" if smtp.user else "answers; no login is set")
    if ends is not None:
        yield certificate(subject, ends)


def _remedy(cause: BaseException | None, smtp: Smtp) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "set `notices.smtp.ca_file` to the authority that signed it, or `host` to a name that is in it"
    if isinstance(cause, smtplib.SMTPAuthenticationError):
        return "correct `notices.smtp.user` and its password; some servers want one made for programs"
    if isinstance(cause, smtplib.SMTPNotSupportedError):
        return f"it does not offer what `notices.smtp` asks: see `security` ({smtp.security}) and `user`"
    if isinstance(cause, ssl.SSLError):
        return "`notices.smtp.security` is `tls` for a port that begins with TLS (465), `starttls` for others (587)"
    return "see that server's log; `notices.smtp` says where it is and who we are"


def _webhook(webhook: Webhook) -> Iterator[Diagnosis]:
    parts = urlsplit(webhook.url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    subject = f"webhook {host}"
    try:
        port = parts.port or (443 if secure else 80)
        context = ssl.create_default_context() if secure else None
        found = reach(host, port, key="notices.webhook", context=context)
    except ValueError as wrong:
        yield fail(subject, f"`{webhook.url}`: {wrong}", "correct `notices.webhook.url`")
        return
    except Unreached as wrong:
        yield fail(subject, str(wrong), wrong.remedy.replace("notices.webhook.host", "notices.webhook.url"))
        return
    yield ok(subject, "answers; nothing was posted")
    if found.ends is not None:
        yield certificate(subject, found.ends)


def _waiting(settings: Settings, opened: Opened, now: int) -> Iterator[Diagnosis]:
    if opened.service is None:
        return
    try:
        waiting = Sender(opened.service, [], now=lambda: now).waiting()
    except (SQLAlchemyError, StorageError):
        return  # An older schema; that is told where the databases are.
    for each in waiting:
        since = (now - each.oldest) / 1000
        count = "1 notice waits" if each.notices == 1 else f"{each.notices} notices wait"
        what = f"{count} for {each.channel}, the oldest since {span(since)}"
        what += f": {each.why}" if each.why else ""
        if getattr(settings.notices, each.channel, None) is None:
            yield warn("outbox", what, f"set `notices.{each.channel}` again, or they are given up after a week")
        elif each.why or since > _LATE:
            yield warn("outbox", what, f"see `{each.channel}` above; they go out by themselves when it works")
        else:
            yield ok("outbox", what)
    if not waiting:
        yield ok("outbox", "no notice waits")
