"""A device that says by WS-Discovery who it is, on real UDP, and keeps what it was asked."""

from __future__ import annotations

import re
import socket
import struct
import threading
from typing import Self

from agent.onvif.announcement import GROUP, PORT

SCOPES = (
    "onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/hardware/DS-2CD2143 "
    "onvif://www.onvif.org/name/Gate%20camera onvif://www.onvif.org/location/yard "
    "onvif://www.onvif.org/MAC/bc:ad:28:00:00:09"
)
TYPES = "dn:NetworkVideoTransmitter tds:Device"


def match(number: str, address: str, *, scopes: str = SCOPES, types: str = TYPES, services: str | None = None) -> bytes:
    """A ProbeMatch as devices send it."""
    urls = services if services is not None else f"http://{address}/onvif/device_service http://127.9.9.9/onvif"
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" '
        'xmlns:dn="http://www.onvif.org/ver10/network/wsdl" xmlns:tds="http://www.onvif.org/ver10/device/wsdl">'
        f"<SOAP-ENV:Header><wsa:RelatesTo>{number}</wsa:RelatesTo></SOAP-ENV:Header><SOAP-ENV:Body><d:ProbeMatches>"
        "<d:ProbeMatch><wsa:EndpointReference><wsa:Address>urn:uuid:1</wsa:Address></wsa:EndpointReference>"
        f"<d:Types>{types}</d:Types><d:Scopes>{scopes}</d:Scopes><d:XAddrs>{urls}</d:XAddrs>"
        "<d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    ).encode()


def number_in(datagram: bytes) -> str:
    """The MessageID of a question."""
    found = re.search(rb"MessageID>([^<]+)<", datagram)
    return found[1].decode() if found else ""


class Announcing:
    """Within a `with` it answers on an address; `group` joins the multicast group on that link as well."""

    def __init__(self, address: str, *, group: bool = False) -> None:
        self.address = address
        self.heard: list[bytes] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0.05)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("" if group else address, PORT))
        if group:
            joined = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(address))
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
        self._going = True
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going = False
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while self._going:
            try:
                datagram, peer = self._socket.recvfrom(65536)
            except TimeoutError:
                continue
            self.heard.append(datagram)
            self._socket.sendto(match(number_in(datagram), self.address), peer)
