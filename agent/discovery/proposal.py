"""What was found, as entries of `devices:` for a person to look through, and the file that they are written to.

A file that is there is only added to: every byte a person wrote in it stays, and a device that it names, or whose
address it has, is not proposed again.

Errors:
    Unfit   a file that cannot be added to; says why, and what to do
"""

from __future__ import annotations

import contextlib
import os
import re
import textwrap
from collections.abc import Collection, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from agent.discovery.found import ONVIF, Found, one_line
from agent.settings.folder import MoreDevices
from agent.settings.target import Target
from forewarn.settings import SettingError, read

_HEAD = """# Devices that `forewarn agent discover` found. Look through them, and change what is not so: what stands here is yours,
# new ones are only added below.
"""
_LONGEST_NAME = 48
_ITEM = re.compile(r"^( *)- ", re.MULTILINE)


class Unfit(Exception):
    """A file that nothing can be added to."""


def entries(found: Sequence[Found], taken: Collection[str]) -> list[dict[str, object]]:
    """What may stand under `devices:` for each, by the keys of `Target`; names are unique, also beside `taken`."""
    names = set(taken)
    listed: list[dict[str, object]] = []
    for each in found:
        base = _plain(each.name) or f"{each.inventory.get('kind', 'device')}-{each.address}"
        name, number = base, 2
        while name in names:
            name, number = f"{base}-{number}", number + 1
        names.add(name)
        entry: dict[str, object] = {"name": name, "address": each.address}
        if each.credential:
            entry["credential"] = str(each.credential)
        else:
            entry |= {"use_snmp": False, "probes": _probes(each)}
            if each.said is not None and each.said.camera:
                entry["kind"] = "camera"
        listed.append(entry)
    return listed


def _probes(each: Found) -> list[dict[str, object]]:
    probes: list[dict[str, object]] = [
        {"icmp": True} if seen == "ping" else {"tcp": int(seen.removeprefix("TCP "))}
        for seen in each.seen
        if seen != ONVIF
    ]
    if not probes and each.said is not None:
        ports = {urlsplit(url).port or (443 if url.startswith("https") else 80) for url in each.said.services}
        probes = [{"tcp": port} for port in sorted(ports)]
    return probes or [{"icmp": True}]


def _plain(text: str) -> str:
    """A device's own name as one for the settings."""
    plain = "".join(char if char.isalnum() or char in "._-" else "-" for char in text.strip())
    return plain[:_LONGEST_NAME].strip("-.")


def text(found: Sequence[Found], taken: Collection[str]) -> str:
    """The entries as YAML, each below a comment that says what it is taken for and why; "" for none."""
    lines: list[str] = []
    for each, entry in zip(found, entries(found, taken), strict=True):
        lines += [f"# {line}\n" for line in _remarks(each)]
        lines.append(yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, default_flow_style=False))
    return "".join(lines)


def _remarks(each: Found) -> list[str]:
    told = each.inventory
    hardware = each.said.hardware if each.said is not None else ""
    what = " ".join(filter(None, (told.get("vendor"), told.get("model") or hardware))) or each.confidence
    remarks = [f"{one_line(what)}: {one_line(told.get('matched', '') or why_so(each))}"]
    if each.said is not None:
        where = ", ".join(each.said.services) or each.address
        remarks.append(f"speaks ONVIF at {one_line(where)}: with a user of it, `onvif: {{user: ...}}` tells more")
    return remarks


def why_so(each: Found) -> str:
    """Why it is taken for what it is, where no profile says so."""
    answered = f"answers {', '.join(each.seen)}" if each.seen else ""
    return "; ".join(filter(None, (answered, each.why)))


def devices_in(path: Path) -> list[Target]:
    """The devices of a file that was written before; none where there is no such file.

    Raises:
        Unfit: it is no file of devices.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as wrong:
        raise Unfit(f"{path} cannot be read: {wrong}") from wrong
    return _devices(content, path)


def _devices(content: str, path: Path) -> list[Target]:
    try:
        return read(MoreDevices, content, str(path)).devices or []
    except SettingError as wrong:
        raise Unfit(f"{path} is no file of devices, name another one to write to:\n{wrong}") from wrong


def add(path: Path, more: str, count: int) -> None:
    """Adds entries (see `text`) to the end of a file, or begins one; what stands there stays as it is, to the byte.

    Raises:
        Unfit: it has another form, so that what is added would not be read as devices; or it cannot be written.
    """
    before = devices_in(path)
    try:
        old = path.read_bytes().decode("utf-8") if path.exists() else f"{_HEAD}devices:\n"
        # A person may have set the list in.
        inset = _ITEM.search(old)
        new = old + ("" if old.endswith("\n") else "\n") + textwrap.indent(more, inset[1] if inset else "")
        after = _devices(new, path)
        if after[: len(before)] != before or len(after) != len(before) + count:
            raise Unfit(f"{path}: its list of devices does not end where the file ends, name another one to write to")
        _put(path, new)
    except OSError as wrong:
        raise Unfit(f"{path} cannot be written: {wrong.strerror}") from wrong


def _put(path: Path, content: str) -> None:
    draft = path.with_name(f".{path.name}.tmp")
    with draft.open("w", encoding="utf-8", newline="") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        before = path.stat()
        draft.chmod(before.st_mode & 0o7777)
        # Of its owner too, where we may: the agent mostly runs under an account of its own.
        with contextlib.suppress(OSError, AttributeError):
            os.chown(draft, before.st_uid, before.st_gid)
    draft.replace(path)
