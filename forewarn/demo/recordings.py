"""The recordings that simulated devices answer from: those of the `snmpsim-data` package, and our own where it has none.

Of a recording only the subtrees that are polled are loaded: one of a switch has more than 100,000 objects.

Errors:
    LookupError   the package is not installed, has no such recording, or it has nothing of what is polled
"""

from __future__ import annotations

import bz2
from collections.abc import Sequence
from importlib import resources

from forewarn.demo import ber

SYSTEM = "1.3.6.1.2.1.1"


def packaged(name: str, subtrees: Sequence[str]) -> dict[str, bytes]:
    """Loads subtrees of a recording of `snmpsim-data`.

    Args:
        name: as in its folder `data`, without endings: `camera/hikvision`.
        subtrees: OIDs whose objects are wanted, beside the system group.

    Returns:
        OID → the value's octets with tag and length, as `ber.recorded` gives them.
    """
    try:
        folder = resources.files("snmpsim_data") / "data"
    except ModuleNotFoundError as wrong:
        raise LookupError("the package snmpsim-data is missing: install `forewarn[collector,demo]`") from wrong
    packed, plain = folder.joinpath(f"{name}.snmprec.bz2"), folder.joinpath(f"{name}.snmprec")
    if packed.is_file():
        content = bz2.decompress(packed.read_bytes())
    elif plain.is_file():
        content = plain.read_bytes()
    else:
        raise LookupError(f"the installed snmpsim-data has no recording `{name}`: install snmpsim-data 1.0")
    wanted = tuple(f"{subtree}." for subtree in (SYSTEM, *subtrees))
    lines = [line for line in content.decode("latin-1").splitlines() if line.startswith(wanted)]
    if not lines:
        raise LookupError(f"the recording `{name}` has no object under {', '.join(subtrees)}")
    return ber.recorded("\n".join(map(still, lines)))


def own(name: str) -> dict[str, bytes]:
    """Loads a recording of our own."""
    return ber.recorded((resources.files("forewarn.demo") / "recordings" / name).read_text(encoding="utf-8"))


def still(line: str) -> str:
    """A line whose value snmpsim would vary (`67:numeric|rate=100`) as one that stands; the script moves it."""
    oid, kind, content = line.split("|", 2)
    tag, varied, _ = kind.partition(":")
    if not varied:
        return line
    options = dict(part.partition("=")[::2] for part in content.split(","))
    return f"{oid}|{tag}|{options.get('value', options.get('initial', '0'))}"
