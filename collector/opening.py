"""Opens what the settings name: the databases and the channels of notices."""

from __future__ import annotations

from collections.abc import Callable

from collector.database import Databases, open_postgres, open_sqlite
from collector.notify.notifier import Notifier
from collector.settings import Notices, Settings


def open_databases(settings: Settings) -> Databases:
    """Opens both databases without asking them anything; the caller migrates and closes them.

    Raises:
        OSError: the data folder cannot be made.
    """
    address = settings.database.address()
    return open_sqlite(settings.folder) if address is None else open_postgres(address)


def open_notifiers(settings: Notices, *, now: Callable[[], int]) -> list[Notifier]:
    """The channels given.

    Args:
        settings: the section `notices`.
        now: Unix milliseconds.

    Raises:
        ValueError: a webhook's key or address cannot be used.
    """
    channels: list[Notifier] = []
    if settings.smtp is not None:
        from collector.notify.smtp import SmtpNotifier

        channels.append(SmtpNotifier(settings.smtp))
    if settings.webhook is not None:
        from collector.notify.webhook import WebhookNotifier

        channels.append(WebhookNotifier(settings.webhook, now=now))
    return channels
