"""What a channel for notices must do.

Errors:
    NotifyError   `permanent` says whether trying again helps
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class NotifyError(Exception):
    """A notice that did not get through."""

    def __init__(self, channel: str, why: str, *, permanent: bool) -> None:
        super().__init__(f"{channel}: {why}")
        self.permanent = permanent


class Notice(msgspec.Struct, frozen=True):
    """One outgoing message. `id` (a ULID) lets the receiver drop a repeat; times are Unix milliseconds."""

    id: str
    ticket: str
    event: str
    severity: str
    site: str
    device: str
    rule: str
    title: dict[str, str]
    body: dict[str, str]
    occurred_at: int
    recorded_at: int
    v: int = 1


class Notifier(Protocol):
    """A channel: SMTP, a signed webhook."""

    name: str

    def send(self, notice: Notice) -> None:
        """Hands the notice over; returns when the other side has taken it.

        Raises:
            NotifyError: it did not.
        """
