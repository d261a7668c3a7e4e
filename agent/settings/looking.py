"""Looking for devices that nobody watches, as a person writes it in the settings."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec
from msgspec import Meta

from forewarn.settings import Duration


class Looking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Looking through networks now and then; the consent must grant `discovery`, and each way of asking."""

    enabled: Annotated[bool, Meta(description="Whether the agent looks by itself; `agent discover` is asked for.")] = (
        False
    )
    every: Annotated[Duration, Meta(description="Time between two looks.", gt=0)] = Duration(86400)
    networks: Annotated[
        list[str],
        Meta(
            description="Where to look, CIDR; left out, in the consent's networks, where these are no larger than a /22."
        ),
    ] = []
    rate: Annotated[float, Meta(description="Addresses asked a second.", gt=0, le=200)] = 5.0
    multicast: Annotated[
        bool,
        Meta(description="Ask a whole link at once too (WS-Discovery), where all of it is within the consent."),
    ] = False
    snmp_port: Annotated[int, Meta(description="UDP port of SNMP.", ge=1, le=65535)] = 161

    def __post_init__(self) -> None:
        """Refuses what is no network.

        Raises:
            ValueError: (key, what), as `forewarn.settings.read` reports it.
        """
        for network in self.networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as wrong:
                what = f"`{network}` is no network, write it like 192.168.1.0/24: {wrong}"
                raise ValueError("networks", what) from None
