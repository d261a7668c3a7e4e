"""What a device hangs on, as a person says it in the settings: a switch's port, a recorder's channel, a UPS.

Links travel as texts of a device's inventory, under the words of `forewarn.vocabulary.LINKS`. Each relation is a chain
of its own: a UPS whose network card hangs on the switch it powers is no loop.

Errors: none; `mistakes` returns them with their places in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from forewarn.settings import Mark, Marked, Wrong
from forewarn.vocabulary import LINKS, nearest

Switch = Annotated[str | None, Meta(description="The switch it hangs on, by its name here.", examples=["sw-1"])]
SwitchPort = Annotated[
    str | None,
    Meta(description="Which port of that switch, as the switch names it.", examples=["GigabitEthernet1/0/1"]),
]
Recorder = Annotated[
    str | None, Meta(description="The recorder that records it, by its name here.", examples=["nvr-1"])
]
RecorderChannel = Annotated[str | None, Meta(description="Which channel of that recorder.", examples=["1"])]
Supply = Annotated[str | None, Meta(description="The UPS that powers it, by its name here.", examples=["ups-1"])]


def said(linked: msgspec.Struct) -> dict[str, str]:
    """The links of one device as texts of its inventory; none empty."""
    words = [word for pair in LINKS.items() for word in pair if word]
    return {word: text for word in words if (text := getattr(linked, word, None))}


def mistakes(devices: Mapping[str, msgspec.Struct]) -> list[Wrong]:
    """What cannot be: a link to what is not among `devices` (by name), a loop, a port without its switch."""
    wrongs: list[Wrong] = []
    for relation, place in LINKS.items():
        on = {name: text for name, device in devices.items() if (text := getattr(device, relation, None))}
        for name, text in on.items():
            if text not in devices:
                near = nearest(text, [other for other in devices if other != name])
                wrongs.append(_wrong(text, f"`{relation}`: there is no device `{text}` in these settings{near}"))
        for name, device in devices.items():
            where = getattr(device, place, None) if place else None
            if where and name not in on:
                wrongs.append(_wrong(where, f"`{place}` says where on a {relation}, but `{relation}` is missing"))
        wrongs += _loops(relation, on)
    return wrongs


def _loops(relation: str, on: Mapping[str, str]) -> list[Wrong]:
    wrongs: list[Wrong] = []
    seen: set[str] = set()
    for name in on:
        way: dict[str, None] = {}
        at = name
        while at in on and at not in seen:
            seen.add(at)
            way[at] = None
            at = on[at]
        if at in way:
            around = list(way)[list(way).index(at) :]
            by = f" by way of {', '.join(f'`{other}`' for other in around[1:])}" if around[1:] else ""
            wrongs.append(_wrong(on[at], f"`{relation}`: `{at}` hangs on itself{by}"))
    return wrongs


def _wrong(text: str, what: str) -> Wrong:
    return text.wrong(what) if isinstance(text, Marked) else Wrong(Mark("devices", 1, 1), what)
