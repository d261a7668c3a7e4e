"""Takes out of a recorded device what tells whose it is: serials, MAC and IP addresses, names, places, people.

The same text becomes the same stand-in wherever it occurs, so that a MAC address in the index of a table is still the
one in its column. Numbers, kinds of values and the rows of tables stay. Addresses become those that RFC 7042 and
RFC 5737 keep for documents.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from agent.profiles.language import Label, Profile
from agent.snmp.session import Value

_SYSTEM = {"1.3.6.1.2.1.1.4.0": "contact", "1.3.6.1.2.1.1.5.0": "name", "1.3.6.1.2.1.1.6.0": "location"}
_ENTITY = "1.3.6.1.2.1.47.1.1.1.1"
_COLUMNS = {
    f"{_ENTITY}.11": "serial",
    f"{_ENTITY}.14": "name",
    f"{_ENTITY}.15": "serial",
    "1.3.6.1.2.1.31.1.1.1.18": "name",
    "1.0.8802.1.1.2.1.4.1.1.9": "name",
}
_ADDRESSES = ("1.3.6.1.2.1.2.2.1.6", "1.3.6.1.2.1.17.1.1", "1.3.6.1.2.1.17.4.3.1.1")
_BY_ADDRESS = ("1.3.6.1.2.1.17.4.3.1", "1.3.6.1.2.1.17.7.1.2.2.1")
"""Tables whose index ends in a MAC address."""
_MAC = re.compile(
    rb"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4})(?![0-9A-Fa-f])"
)
_IP = re.compile(rb"(?<![0-9.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![0-9.])")
_MAIL = re.compile(rb"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_DISK = re.compile(rb"(Serial Number )([0-9A-Fa-f]+)")
"""Windows puts the number of a volume into its hrStorageDescr."""
_OCTETS = 6
_SHORT = 4
"""A name of fewer letters is not looked for inside other texts: it would be found everywhere."""
_PLAIN = ("0.0.0.0", "127.0.0.1", "255.255.255.255")  # noqa: S104 - not bound to, left as they are


class Disguise:
    """Stands in for what tells whose a device is, the same way for the whole recording."""

    def __init__(self, profile: Profile) -> None:
        self.counts: Counter[str] = Counter()
        """How many different texts of each kind were replaced."""
        self._known: dict[tuple[str, bytes], bytes] = {}
        self._whole = dict(_SYSTEM)
        self._columns = dict(_COLUMNS)
        for name, text in profile.inventory.items():
            for link in text.chain():
                if link.oid is not None and name in ("serial", "name", "location", "mac"):
                    (self._whole if link.where is None else self._columns)[str(link.oid)] = str(name)
        for group in profile.tables:
            for label in group.label if group.table == "channel" else ():
                oid = label.oid if isinstance(label, Label) else label
                self._columns[str(oid)] = "channel"

    def replaced(self, objects: Mapping[str, Value]) -> dict[str, Value]:
        """The objects of one device without what tells whose it is."""
        first = {oid: self._named(oid, value) for oid, value in objects.items()}
        within = sorted(
            ((plain, other) for (kind, plain), other in self._known.items() if kind != "mac" and len(plain) >= _SHORT),
            key=lambda pair: -len(pair[0]),
        )
        found: dict[str, Value] = {}
        for oid, value in first.items():
            kept = value is not objects[oid]
            found[self._index(oid)] = value if kept or not isinstance(value, bytes) else self._text(value, within)
        return {
            oid: self._address(value) if isinstance(value, str) and _IP.fullmatch(value.encode()) else value
            for oid, value in found.items()
        }

    def _named(self, oid: str, value: Value) -> Value:
        """A value that is as a whole a name, a serial or a MAC address."""
        if not isinstance(value, bytes) or not value.strip(b"\0 \r\n"):
            return value
        kind = self._whole.get(oid) or next(
            (each for column, each in self._columns.items() if oid.startswith(f"{column}.")), ""
        )
        octets = len(value) == _OCTETS and (not value.isascii() or not value.decode("latin-1").isprintable())
        if octets or (len(value) == _OCTETS and (kind == "mac" or oid.startswith(_ADDRESSES))):
            return self._mac(value)
        return self._stand_in(kind, value) if kind and kind != "mac" else value

    def _text(self, value: bytes, within: list[tuple[bytes, bytes]]) -> bytes:
        for plain, other in within:
            value = value.replace(plain, other)
        value = _MAC.sub(self._written_mac, value)
        value = _IP.sub(lambda found: self._address(found[0].decode()).encode(), value)
        value = _DISK.sub(lambda found: found[1] + self._stand_in("serial", found[2]), value)
        return _MAIL.sub(lambda found: self._stand_in("contact", found[0]), value)

    def _index(self, oid: str) -> str:
        if not oid.startswith(_BY_ADDRESS):
            return oid
        arcs = oid.split(".")
        octets = bytes(int(arc) & 255 for arc in arcs[-_OCTETS:])
        return ".".join([*arcs[:-_OCTETS], *map(str, self._mac(octets))])

    def _written_mac(self, found: re.Match[bytes]) -> bytes:
        """A MAC address in the spelling it had."""
        text = found[0].decode()
        digits = iter(self._mac(bytes.fromhex(re.sub("[^0-9A-Fa-f]", "", text))).hex())
        spelt = "".join(next(digits) if letter.isalnum() else letter for letter in text)
        return (spelt.upper() if text.upper() == text else spelt).encode()

    def _mac(self, octets: bytes) -> bytes:
        if octets in (b"\0" * _OCTETS, b"\xff" * _OCTETS):
            return octets
        number = self._number("mac", octets)
        # Those for documents are 256; what is more gets one that no maker has.
        made = (0x00005E005300 if number < 256 else 0x020000000000) + number  # noqa: PLR2004 - RFC 7042 has 256 for documents
        return self._known.setdefault(("mac", octets), made.to_bytes(_OCTETS, "big"))

    def _address(self, plain: str) -> str:
        if plain in _PLAIN or plain.startswith("255."):
            return plain
        number = self._number("address", plain.encode())
        net = ("192.0.2", "198.51.100", "203.0.113")[number // 254 % 3]
        made = f"{net}.{number % 254 + 1}".encode()
        return self._known.setdefault(("address", plain.encode()), made).decode()

    def _stand_in(self, kind: str, plain: bytes) -> bytes:
        """Another text of about the same length."""
        number = self._number(kind, plain)
        made = f"{kind.upper()}{number + 1:0{max(len(plain) - len(kind), 1)}}"
        return self._known.setdefault((kind, plain), made[:64].encode())

    def _number(self, kind: str, plain: bytes) -> int:
        """How many of the kind came before."""
        if (kind, plain) not in self._known:
            self.counts[kind] += 1
        return self.counts[kind] - 1
