"""The log book's lines as a customer reads them."""

from __future__ import annotations

import msgspec
from rich.cells import cell_len

from agent import spoken
from agent.logbook.lines import LOST, POLL, Line
from agent.logbook.pages import BOOK, CONSENT, LOOKED, REFUSED, RUN, Entry
from forewarn.manifest import MANIFEST, Manifest
from forewarn.wire import Malformed, Record

_WIDTHS = (19, 9, 9, 9, 16)
HEAD = ("READ", "LEFT", "CONFIRMED", "CONSENT", "DEVICE", "WHAT")
_SCOPES = {
    "snmp": "devices over SNMP",
    "host": "this machine itself",
    "trap": "messages that devices send by themselves (SNMP traps)",
    "probe": "whether devices answer",
    "isapi": "Hikvision devices over their web interface, reading only",
    "onvif": "devices over ONVIF, reading only",
    "discovery": "looking for devices",
}


def columns(*texts: str) -> str:
    """Texts side by side, each padded to its column's width on screen."""
    padded = [padded_to(text, width) for text, width in zip(texts, _WIDTHS, strict=False)]
    return "  ".join([*padded, *texts[len(_WIDTHS) :]]).rstrip()


def padded_to(text: str, width: int) -> str:
    """A text with blanks behind it up to a width; a Chinese character takes two places."""
    return text + " " * max(0, width - cell_len(text))


def width(text: str) -> int:
    """How many places a text takes on screen."""
    return cell_len(text)


def row(line: Line) -> str:
    """A line of the table."""
    if line.entry is not None:
        at = spoken.instant(line.at) if line.at else ""
        return columns(at, "", "", spoken.short(line.consent), "", f"* {act(line.entry)}")
    record = line.record
    assert record is not None
    left = spoken.hour(line.left[0], record.t) if line.left else "waiting"
    confirmed = spoken.hour(line.confirmed, record.t) if line.confirmed else "-"
    device = record.device or "the agent"
    consent = "" if line.consent == "*" else spoken.short(line.consent)
    said = what(line) + {
        "declared lost": " (declared lost later)",
        "numbered anew": " (sent again, numbered anew)",
    }.get(line.state, "")
    return columns(spoken.instant(record.t), left, confirmed, consent, device, said)


def what(line: Line) -> str:
    """What a record says, in a line."""
    record = line.record
    assert record is not None
    if record.kind == LOST:
        return loss(record)
    if record.kind == MANIFEST:
        return stated(record)
    if record.kind:
        said = ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in record.text.items())
        return f"{record.kind}: {said}"
    if not record.ok:
        return f"could not be read: {record.why}"
    return spoken.values(line.shape, record.values) if line.shape is not None else f"{len(record.values)} values"


def loss(record: Record) -> str:
    """A declared loss as a sentence."""
    if "epoch" in record.text:
        return f"lost: what an older spool held from record {record.first:,} on: {record.why}"
    if record.first in (0, record.seq):
        return f"lost: record {record.seq:,}, dropped here: {record.why}"
    count = record.seq - record.first + 1
    return f"lost: records {record.first:,} to {record.seq:,} ({count:,} of them), dropped here: {record.why}"


def stated(record: Record) -> str:
    """A manifest as a sentence."""
    try:
        manifest = Manifest.read(record.text)
    except Malformed as wrong:
        return str(wrong)
    lost = f", {manifest.lost:,} numbers dropped since the last" if manifest.lost else ""
    return f"proof: records {manifest.first:,} to {manifest.last:,} ({manifest.count:,} of them){lost}"


def act(entry: Entry) -> str:
    """What happened, as a sentence."""
    text = entry.text
    if entry.kind == CONSENT:
        if text.get("state") == "in force":
            return f"Consent in force: {terms(text)}"
        return f"Nothing is read and nothing leaves: {text.get('why', text.get('state', ''))}"
    if entry.kind == REFUSED:
        subject = text.get("address") or source(text.get("source", ""))
        return f"Not read: {subject}: {text['why']}" if text.get("why") else f"May be read again: {subject}"
    if entry.kind in (RUN, LOOKED):
        return looked(text) if entry.kind == LOOKED else "The agent started"
    if entry.kind == BOOK:
        return f"This log: {text.get('state', '')}"
    which = f"Record {entry.first:,}" if entry.first == entry.last else f"Records {entry.first:,} to {entry.last:,}"
    return f"{which} left, and what was in it is not in this log: {text.get('why', '')}"


def looked(text: dict[str, str]) -> str:
    """That somebody looks for devices, or has looked, as a sentence."""
    where = f"{text.get('networks', '?')} ({text.get('addresses', '?')} addresses, by {text.get('by', '?')})"
    if text.get("state") == "began":
        return f"Looking for devices in {where}: {text.get('how', '')}"
    ended = f" {text['why']};" if text.get("why") else ""
    return (
        f"Looked for devices in {where}:{ended} {text.get('asked', '?')} asked, found {text.get('found') or 'nobody'}"
    )


def terms(text: dict[str, str]) -> str:
    """What a consent says: who gave it, until when, for what and where."""
    scopes = " and ".join(source(word) for word in text.get("scopes", "").split(", ") if word) or "nothing"
    where = text.get("networks") or "no network"
    who = f"signed by {text.get('signed_by', '?')} for {text.get('customer', '?')}"
    return f"{who}, valid until {text.get('until', '?')}; {scopes}; devices in {where} only"


def source(word: str) -> str:
    """A scope of consent in words."""
    return _SCOPES.get(word, word.upper())


def full(line: Line) -> str:
    """A line with the whole of what was sent below it."""
    if line.record is None:
        return row(line)
    again = [f"left again {spoken.instant(at)}" for at in line.left[1:]]
    said = [row(line), f"  record {line.record.seq} of epoch {line.epoch}, consent {line.consent or '-'}", *again]
    body = _indented(line.body)
    if line.record.kind == POLL or not line.record.kind:
        shape = _indented(line.shape.encoded) if line.shape is not None else "  (its shape is not known)"
        return "\n".join([*said, "  the record as sent:", body, "  what its values are, in order, as sent:", shape])
    return "\n".join([*said, "  the record as sent:", body])


def _indented(body: bytes) -> str:
    text = msgspec.json.format(body, indent=2).decode()
    return "\n".join(f"    {line}" for line in text.splitlines())
