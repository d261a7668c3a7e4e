"""What looking for devices tells the customer's log book: where, how many addresses, how, and what came of it.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.discovery import search
from agent.discovery.found import Found
from agent.discovery.search import Plan

_LONGEST = 2000


def how(planned: Plan) -> list[str]:
    """What is asked of each address, a sentence for each way."""
    told: list[str] = []
    ports = ", ".join(str(port) for port in search.PORTS)
    if planned.probes:
        told.append(f"Each: up to three pings, and a TCP connection to {ports}.")
    else:
        told.append("No ping and no TCP connection: the consent does not grant `probe`.")
    if planned.onvif:
        links = f" And all at once on the link of {', '.join(planned.links)}, by multicast." if planned.links else ""
        told.append(f"Each: ONVIF's WS-Discovery, two datagrams to UDP 3702.{links}")
    else:
        told.append("No WS-Discovery: the consent does not grant `onvif`.")
    if planned.credentials:
        whom = "who answers that" if planned.probes else "each"
        told.append(
            f"Over SNMP, {whom}: its sysObjectID once with each of {', '.join(planned.credentials)}; who answers that: "
            "which profile fits, and its inventory."
        )
    else:
        told.append("No SNMP: the settings name no `credentials`, or the consent does not grant `snmp`.")
    return told


def began(planned: Plan, networks: Sequence[str], by: str) -> dict[str, str]:
    """What is to be sent, before anything is; `by` is who looks."""
    return _where(planned, networks, by) | {
        "state": "began",
        "rate": f"{planned.rate:g} a second",
        "how": " ".join(how(planned)),
    }


def ended(
    planned: Plan, networks: Sequence[str], by: str, *, asked: int, found: Sequence[Found], why: str
) -> dict[str, str]:
    """What came of it; `asked` counts addresses, `why` says why it ended early."""
    told = "; ".join(f"{each.address} ({each.answers})" for each in found)
    text = _where(planned, networks, by) | {"state": "ended", "asked": str(asked), "found": told[:_LONGEST]}
    return text | ({"why": why} if why else {})


def _where(planned: Plan, networks: Sequence[str], by: str) -> dict[str, str]:
    return {"by": by, "networks": ", ".join(networks), "addresses": str(len(planned.addresses))}
