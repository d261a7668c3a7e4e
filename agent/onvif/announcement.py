"""What an ONVIF device says of itself to anybody who asks: WS-Discovery, SOAP over UDP, without a login.

One question is two datagrams, for the two words devices go by (`NetworkVideoTransmitter`, and `Device` since ONVIF
2.0). An answer counts when it names our question and comes from who was asked; of the addresses at which it says its
services are, those of other hosts are dropped, lest a device choose whom we speak to. All is bounded: the size and the
number of datagrams, the matches in one, the length of each text.

Sources: WS-Discovery (April 2005), sections 2.4, 5.2 and 5.3; ONVIF Core Specification, section 7 (types and scopes).

Errors:
    OSError   nothing can be sent from here; what is no answer is no error
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import Callable, Collection
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

from agent.web.xmltext import Unreadable, read

PORT, GROUP = 3702, "239.255.255.250"
_ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
_TYPES = (
    ("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter"),
    ("http://www.onvif.org/ver10/device/wsdl", "Device"),
)
_SCOPE = "onvif://www.onvif.org/"
_LARGEST = 16 * 1024
_MOST_ANSWERS = 8
"""Datagrams looked at of one who was asked by itself."""
_MOST_HEARD = 2048
"""Datagrams looked at of a whole link."""
_MOST_MATCHES = 8
_MOST_SERVICES = 4
_LONGEST = 128


class Announcement(NamedTuple):
    """What a device says of itself; each text is empty where it does not say.

    `camera` is whether it calls itself an encoder of video and no recorder; `services` are URLs on its own address.
    """

    name: str = ""
    hardware: str = ""
    location: str = ""
    mac: str = ""
    camera: bool = False
    services: tuple[str, ...] = ()


class Question(NamedTuple):
    """What is sent, and the numbers that an answer has to name."""

    datagrams: list[bytes]
    numbers: frozenset[str]


def question() -> Question:
    """A new question: one datagram for each of the words that devices go by."""
    asked = [(f"urn:uuid:{uuid.uuid4()}", namespace, word) for namespace, word in _TYPES]
    return Question([_probe(*each) for each in asked], frozenset(number for number, _, _ in asked))


def _probe(number: str, namespace: str, word: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{_ENVELOPE}" xmlns:a="{_ADDRESSING}" '
        f'xmlns:d="{_DISCOVERY}"><s:Header><a:MessageID>{number}</a:MessageID>'
        "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>"
        f"<a:Action>{_DISCOVERY}/Probe</a:Action></s:Header><s:Body><d:Probe>"
        f'<d:Types xmlns:t="{namespace}">t:{word}</d:Types></d:Probe></s:Body></s:Envelope>'
    ).encode()


def announced(datagram: bytes, numbers: Collection[str], sender: str) -> Announcement | None:
    """What a datagram says of its sender (an IP address); None for what is no answer to a question of these numbers."""
    if len(datagram) > _LARGEST or datagram.lstrip()[:1] in (b"{", b"["):
        return None
    try:
        root = read(datagram)
    except Unreadable:
        return None
    matches = root.findall(".//probematch")[:_MOST_MATCHES]
    if _text(root, ".//relatesto") not in numbers or not matches:
        return None
    scopes = [scope for match in matches for scope in _text(match, "scopes").split()]
    types = {word.rpartition(":")[2] for match in matches for word in _text(match, "types").split()}
    services = [url for match in matches for url in _text(match, "xaddrs").split() if _is_of(url, sender)]
    kinds = {value.casefold() for value in _scoped(scopes, "type")}
    return Announcement(
        name=_first(scopes, "name"),
        hardware=_first(scopes, "hardware"),
        location=_first(scopes, "location"),
        mac=_first(scopes, "mac"),
        camera="video_encoder" in kinds and "NetworkVideoStorage" not in types,
        services=tuple(dict.fromkeys(url[:_LONGEST] for url in services))[:_MOST_SERVICES],
    )


def _text(found: Element, path: str) -> str:
    there = found.find(path)
    return (there.text or "").strip() if there is not None else ""


def _scoped(scopes: Collection[str], category: str) -> list[str]:
    """The values of one category, `onvif://www.onvif.org/CATEGORY/VALUE`; the category in any case."""
    begin = f"{_SCOPE}{category}/"
    return [unquote(scope[len(begin) :]) for scope in scopes if scope[: len(begin)].casefold() == begin]


def _first(scopes: Collection[str], category: str) -> str:
    return next((text[:_LONGEST] for value in _scoped(scopes, category) if (text := value.strip())), "")


def _is_of(url: str, sender: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and parts.hostname == sender and len(url) <= _LONGEST
    except ValueError:
        return False


async def ask(address: str, *, wait: float, port: int = PORT) -> Announcement | None:
    """Asks one address; None where nothing that counts comes back within `wait` seconds.

    Raises:
        OSError: nothing can be sent to it.
    """
    found: list[Announcement] = []

    def heard(said: Announcement, sender: str) -> bool:
        found.extend([said] if sender == address else [])
        return bool(found)

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    await _asked((address, port), ("", 0), family, heard, wait=wait, most=_MOST_ANSWERS)
    return found[0] if found else None


async def ask_link(local: str, *, wait: float, port: int = PORT) -> dict[str, Announcement]:
    """Asks everybody on the link of one of our own IPv4 addresses, by multicast that no router passes on.

    Returns:
        By the IP address of who answered within `wait` seconds.

    Raises:
        OSError: nothing can be sent from there.
    """
    found: dict[str, Announcement] = {}

    def heard(said: Announcement, sender: str) -> bool:
        found.setdefault(sender, said)
        return False

    await _asked((GROUP, port), (local, 0), socket.AF_INET, heard, wait=wait, most=_MOST_HEARD)
    return found


Heard = Callable[[Announcement, str], bool]
"""Takes an answer and who sent it; True when there is nothing more to wait for."""


class _Listening(asyncio.DatagramProtocol):
    """Passes on what counts, until that is enough."""

    def __init__(self, asked: Question, heard: Heard, most: int) -> None:
        self._asked = asked
        self._heard = heard
        self._left = most
        self.enough = asyncio.Event()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """See asyncio.DatagramProtocol."""
        self._left -= 1
        said = announced(data, self._asked.numbers, addr[0]) if self._left >= 0 else None
        if said is not None and self._heard(said, addr[0]):
            self.enough.set()


async def _asked(
    to: tuple[str, int], own: tuple[str, int], family: int, heard: Heard, *, wait: float, most: int
) -> None:
    asked = question()
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        if own[0]:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own[0]))
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        opened.bind(own)
        loop = asyncio.get_running_loop()
        transport, listening = await loop.create_datagram_endpoint(lambda: _Listening(asked, heard, most), sock=opened)
    except OSError:
        opened.close()
        raise
    try:
        for datagram in asked.datagrams:
            transport.sendto(datagram, to)
        await asyncio.wait_for(listening.enough.wait(), wait)
    except TimeoutError:
        return
    finally:
        transport.close()
