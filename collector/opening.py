"""Opens what the settings name: the databases, the channels of notices, the texts of rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import rules
from collector.notify.notifier import Notifier
from collector.settings import Notices, Rules, Settings
from collector.storage.database import Databases, open_postgres, open_sqlite
from forewarn.settings import Mark, SettingError, Wrong


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


def rule_texts(settings: Rules) -> list[tuple[str, str]]:
    """The rules to evaluate, as (file, text), in a fixed order: the library, then each folder by file name.

    Raises:
        SettingError: a folder or file that cannot be read.
    """
    library = [(Path(rules.__file__).parent / "library", Path("library"))] if settings.library else []
    texts: list[tuple[str, str]] = []
    wrongs: list[Wrong] = []
    for folder, shown in [*library, *((folder, folder) for folder in settings.folders)]:
        if not folder.is_dir():
            wrongs.append(Wrong(Mark(str(folder), 1, 1), "is no folder: `rules.folders` names folders with *.yaml"))
        for file in sorted(folder.glob("*.yaml")):
            name = str(shown / file.name)  # Stands in every reason: the library's place on this machine says nothing.
            try:
                texts.append((name, file.read_text(encoding="utf-8")))
            except (OSError, UnicodeDecodeError) as wrong:
                why = wrong.strerror if isinstance(wrong, OSError) else "not UTF-8 text"
                wrongs.append(Wrong(Mark(name, 1, 1), f"cannot be read: {why}"))
    if wrongs:
        raise SettingError(wrongs)
    return texts
