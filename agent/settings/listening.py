"""Hearing traps, as a person writes it in the settings."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from forewarn.settings import Marked


class Listening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hearing SNMP traps and informs; the consent must grant the scope `trap`."""

    enabled: Annotated[bool, Meta(description="Whether to listen. Costs a process of some 40 MB.")] = False
    address: Annotated[str, Meta(description="Where to listen: an IP address of this machine, `::` for IPv6 too.")] = (
        "0.0.0.0"  # noqa: S104 - whoever is no device of ours is dropped unread
    )
    port: Annotated[
        int, Meta(description="UDP port. 162 is the usual one and needs a right; see docs/traps.md.", ge=1, le=65535)
    ] = 1162
    credentials: Annotated[
        list[Marked],
        Meta(description="Names of `credentials` that any device may send with, beside those it is polled with."),
    ] = []
    tables: Annotated[
        Path | None, Meta(description="A folder with words of your own for traps, NAME.yaml; see docs/traps.md.")
    ] = None
    rate: Annotated[float, Meta(description="Traps a second taken from one device in the long run.", gt=0, le=1000)] = (
        10.0
    )
    burst: Annotated[int, Meta(description="Traps taken from one device at once.", ge=1, le=10000)] = 50

    def __post_init__(self) -> None:
        """Refuses a host name.

        Raises:
            ValueError: (key, what), as `forewarn.settings.read` reports it.
        """
        try:
            ipaddress.ip_address(self.address)
        except ValueError:
            raise ValueError("address", f"`{self.address}` is no IP address to listen on") from None
