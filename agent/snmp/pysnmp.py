"""The adapter over pysnmp: which of its clients speaks to a device. For systems that gufo-snmp has no build for."""

from __future__ import annotations

from agent.settings.credential import Access
from agent.snmp.pysnmp_exchange import PysnmpExchange


def connect(address: str, port: int, access: Access, timeout: float) -> PysnmpExchange:
    """A client of one device; `timeout` in seconds for one answer. Needs a running event loop."""
    if access.version == "3":
        from agent.snmp.pysnmp_user import PysnmpUserExchange  # Its security model is loaded only where it is used.

        return PysnmpUserExchange(address, port, access, timeout)
    return PysnmpExchange(address, port, access, timeout)
