"""What a customer reads in the log: each record once, in words, with where it stands; and each act."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import msgspec
import pytest

from agent import spoken
from agent.delivery.spoolfile import SpoolFile
from agent.logbook import lines, wording
from agent.logbook.lines import Line, Story, plain, still_waiting
from agent.logbook.pages import AGAIN, BOOK, CONFIRMED, CONSENT, LEFT, LOOKED, REFUSED, RUN, UNWRITTEN, Entry, Stored
from agent.logbook.waiting import waiting
from forewarn import wire
from forewarn.manifest import MANIFEST, Manifest
from forewarn.vocabulary import TABLES, DeviceKind, Source
from forewarn.wire import GENESIS, Header, Record, Shape, TableShape

RECORDER = Shape(
    DeviceKind.RECORDER,
    "p",
    Source.SNMP,
    [
        TableShape("device", [""], ["up", "rtt_seconds", "poll_seconds"]),
        TableShape("volume", ["1"], ["used_percent", "free_bytes", "read_only", "status"]),
        TableShape("disk", ["sda", "sdb"], ["temperature_celsius"]),
    ],
)
VALUES: list[float | None] = [1.0, 0.012, 0.1, 93.125, 1.5 * 2**40, 0.0, 2.0, 41.0, None]


class Leaving:
    """Entries as an agent writes them, one behind the other."""

    def __init__(self, epoch: str = "E1") -> None:
        self.story = Story()
        self.at = 1_700_000_000_000
        self.epoch = epoch
        self.bodies: dict[int, bytes] = {}
        self._chain = GENESIS

    def record(self, seq: int, **changed: object) -> bytes:
        facts: dict[str, object] = {"device": "nvr", "shape": RECORDER.digest, "values": VALUES} | changed
        record = Record(seq, self.at - 5000, **facts)  # type: ignore[arg-type]
        if record.kind == "lost":
            return wire.resealed_lost(record, bytes(16))
        body, self._chain = wire.seal(record, self._chain)
        self.bodies[seq] = body
        return body

    def left(self, first: int, last: int, *bodies: bytes) -> list[Line]:
        self.at += 1000
        sent = bodies or tuple(self.bodies.get(seq) or self.record(seq) for seq in range(first, last + 1))
        header = Header(
            site="s", agent="a", epoch=self.epoch, boot="b", oldest=1, head=last, consent="c-1", sent=self.at
        )
        entry = Entry(at=self.at, kind=LEFT, epoch=self.epoch, first=first, last=last, consent="c-1")
        return self.story.add(Stored(entry, wire.pack(header, [RECORDER], sent), 0))

    def said(self, kind: str, last: int = 0, first: int = 0, **text: str) -> list[Line]:
        self.at += 1000
        entry = Entry(at=self.at, kind=kind, epoch=self.epoch, first=first, last=last, text=text)
        return self.story.add(Stored(entry, b"", 0))


def seqs(lines: list[Line]) -> list[int]:
    return [line.record.seq for line in lines if line.record is not None]


def test_a_record_is_told_when_it_is_confirmed_in_the_order_in_which_it_left() -> None:
    on = Leaving()
    assert on.left(1, 2) == []
    assert on.said(RUN) == []
    assert on.left(3, 3) == []
    told = on.said(CONFIRMED, 2)
    assert [line.kind for line in told] == ["poll", "poll", "agent"]
    assert {line.confirmed for line in told if line.record} == {on.at}
    (open_line,) = on.story.rest()
    assert (open_line.state, seqs([open_line])) == ("left", [3])


@pytest.mark.parametrize("whole", [True, False])
def test_a_record_that_left_twice_is_one_line_with_two_times(whole: bool) -> None:
    on = Leaving()
    on.left(1, 3)
    first = on.at
    if whole:
        on.said(AGAIN, 3, first=1)
    else:
        on.left(2, 4)
    again = on.at
    told = on.said(CONFIRMED, 4)
    assert seqs(told) == ([1, 2, 3] if whole else [1, 2, 3, 4])
    assert told[1].left == [first, again]
    assert wording.full(told[1]).count("left again") == 1
    assert "left again" not in wording.row(told[1])


def test_a_record_that_left_and_was_dropped_then_is_said_to_be_declared_lost() -> None:
    on = Leaving()
    on.left(1, 3)
    on.left(2, 3, on.record(2, kind="lost", why="overflow: the spool was full", first=1), on.bodies[3])
    told = on.said(CONFIRMED, 3)
    assert [(line.kind, line.state) for line in told] == [
        ("poll", "declared lost"),
        ("poll", "declared lost"),
        ("poll", "confirmed"),
        ("lost", "confirmed"),
    ]
    assert wording.row(told[0]).endswith("(declared lost later)")
    assert "lost: records 1 to 2 (2 of them), dropped here: overflow: the spool was full" in wording.row(told[3])
    on.left(4, 6)
    losses = [on.record(4, kind="lost", why="W", first=1), on.record(5, kind="lost", why="V", first=5)]
    told = on.left(1, 6, *losses, on.bodies[6]) + on.said(CONFIRMED, 6)
    assert [line.state for line in told][:3] == ["declared lost", "declared lost", "confirmed"]


def test_what_leaves_again_though_it_is_confirmed_is_not_told_anew() -> None:
    on = Leaving()
    on.left(1, 2)
    assert seqs(on.said(CONFIRMED, 2)) == [1, 2]
    on.left(1, 3)
    assert seqs(on.said(CONFIRMED, 3)) == [3]


def test_what_an_epoch_leaves_open_is_told_when_the_next_begins() -> None:
    on = Leaving()
    on.left(1, 1)
    on.epoch = "E2"
    told = on.left(1, 1, on.record(1)) + on.said(CONFIRMED, 1)
    assert [line.state for line in told] == ["numbered anew", "confirmed"]


def test_a_block_that_cannot_be_read_is_a_line_and_hides_nothing_else() -> None:
    on = Leaving()
    told = on.story.add(Stored(Entry(at=1, kind=LEFT, epoch="E1", first=1, last=1), b"?", 0))
    told += on.left(2, 2) + on.said(CONFIRMED, 2)
    assert [line.kind for line in told] == ["log", "poll"]
    assert "holds a block that cannot be read: not_json" in wording.row(told[0])


def test_a_line_has_the_device_what_was_read_with_its_units_and_where_it_stands() -> None:
    on = Leaving()
    on.left(1, 1)
    (line,) = on.said(CONFIRMED, 1)
    assert line.record is not None
    at = spoken.instant(line.record.t)
    row = wording.row(line)
    assert row.startswith(f"{at}  {spoken.hour(line.left[0], line.record.t)}")
    assert spoken.hour(line.confirmed, line.record.t) in row
    assert row.endswith(
        "nvr               volume 1 used 93.1 %, volume 1 free 1.5 TiB, disk sda temperature 41 °C, up: yes, and 4 more"
    )


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"ok": False, "why": "no answer within 2 s", "values": [0.0, *[None] * 8]}, "could not be read: no answer"),
        ({"kind": "inventory", "values": [], "text": {"model": "X", "serial": "7"}}, "inventory: model X, serial 7"),
        ({"kind": "event", "shape": "", "device": "", "values": [], "text": {"event": "epoch rolled"}}, "epoch rolled"),
        ({"values": [None] * 9}, ""),
    ],
)
def test_every_kind_of_record_is_said_in_words(changed: dict[str, object], says: str) -> None:
    on = Leaving()
    on.left(1, 1, on.record(1, **changed))
    (line,) = on.said(CONFIRMED, 1)
    assert says in wording.row(line)
    assert ("the agent" in wording.row(line)) is (changed.get("device") == "")


SCOPE = "devices over SNMP and this machine itself; devices in 10.0.0.0/8 only"
TERMS = {
    "state": "in force",
    "customer": "ACME",
    "signed_by": "A. Person",
    "until": "2027-01-01T00:00:00Z",
    "scopes": "snmp, host",
    "networks": "10.0.0.0/8",
}


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (
            CONSENT,
            TERMS,
            "* Consent in force: signed by A. Person for ACME, valid until 2027-01-01T00:00:00Z; " + SCOPE,
        ),
        (CONSENT, {"state": "expired"}, "* Nothing is read and nothing leaves: expired"),
        (
            REFUSED,
            {"source": "snmp", "address": "10.1.1.1", "why": "address outside the consent"},
            "* Not read: 10.1.1.1: address outside the consent",
        ),
        (REFUSED, {"source": "host", "why": "scope not granted"}, "* Not read: this machine itself: scope not granted"),
        (REFUSED, {"source": "snmp", "address": "10.1.1.1"}, "* May be read again: 10.1.1.1"),
        (RUN, {}, "* The agent started"),
        (
            LOOKED,
            {
                "state": "ended",
                "by": "B",
                "networks": "N",
                "addresses": "9",
                "asked": "4",
                "why": "stopped",
                "found": "",
            },
            "* Looked for devices in N (9 addresses, by B): stopped; 4 asked, found nobody",
        ),
        (BOOK, {"state": "erased, and begun anew"}, "* This log: erased, and begun anew"),
        (UNWRITTEN, {"why": "W"}, "* Records 3 to 5 left, and what was in it is not in this log: W"),
    ],
)
def test_every_act_is_a_sentence(kind: str, text: dict[str, str], says: str) -> None:
    (line,) = Leaving().said(kind, 5, 3, **text)
    assert wording.row(line).endswith(says)
    assert line.kind in lines.KINDS
    assert json.loads(msgspec.json.encode(plain(line)))["kind"] == line.kind


def test_for_machines_a_line_has_values_by_name_and_times_in_milliseconds() -> None:
    on = Leaving()
    on.left(1, 1)
    (line,) = on.said(CONFIRMED, 1)
    found = plain(line)
    assert found["values"]["volume"]["1"] == {
        "used_percent": 93.125, "free_bytes": 1.5 * 2**40, "read_only": 0.0, "status": 2.0
    }  # fmt: skip
    assert found["values"]["disk"]["sdb"]["temperature_celsius"] is None
    assert (found["left"], found["confirmed"], found["state"]) == ([on.at - 1000], on.at, "confirmed")


@pytest.mark.parametrize(
    ("field", "amount", "says"),
    [
        ("runtime_seconds", 147_600.0, "runtime 1.71 d"),
        ("rtt_seconds", 0.0042, "round trip 4.2 ms"),
        ("in_bits_per_second", 3_250_000.0, "in 3.25 Mbit/s"),
        ("read_bytes_per_second", 0.0, "read 0 B/s"),
        ("in_errors_per_second", 0.5, "in errors 0.5 /s"),
        ("battery_celsius", 31.0, "battery 31 °C"),
        ("status", 2.0, "status critical"),
        ("on_battery", 1.0, "on battery: yes"),
        ("admin_up", 0.0, "admin up: no"),
        ("power_on_hours", 12345.0, "powered on for 12,345 h"),
        ("volts", 230.4, "volts 230 V"),
        ("processes", 212.0, "processes 212"),
    ],
)
def test_values_are_said_with_their_units(field: str, amount: float, says: str) -> None:
    assert spoken.value(field, amount) == says


def test_no_field_of_the_vocabulary_is_said_with_its_unit_spelt_in_its_name() -> None:
    fields = sorted({field for table in TABLES.values() for field in table.fields})
    units = ("_seconds", "_bytes", "_percent", "_celsius", "_per_second", "_volts", "_watts", "_rpm", "_hours")
    said = [spoken.value(field, 3.0) for field in fields]
    spelt = [
        text
        for text in said
        if "_" in text or any(text.split(" 3")[0].endswith(unit.replace("_", " ")) for unit in units)
    ]
    assert spelt == []


def test_chinese_names_keep_the_columns_straight() -> None:
    assert wording.padded_to("门口-1", 9) == "门口-1   "


def test_a_manifest_is_told_as_the_proof_it_is() -> None:
    said = Manifest(epoch="E1", first=1, last=3600, count=3600, hash="ab" * 16, since=0)
    told = [
        wording.what(lines.line_of(Record(9, 1, kind=MANIFEST, text=text), None, b"", epoch="E1", consent="c"))
        for text in (said.as_text(), msgspec.structs.replace(said, lost=12).as_text(), {"epoch": "E1"})
    ]
    assert told[0] == "proof: records 1 to 3,600 (3,600 of them)"
    assert told[1] == "proof: records 1 to 3,600 (3,600 of them), 12 numbers dropped since the last"
    assert "no manifest" in told[2]


def spooled(path: Path, records: int) -> SpoolFile:
    file = SpoolFile(path)
    for number in range(records):
        with file.changing():
            file.append(Record(0, number, "cam", values=VALUES), RECORDER, "c-1")
    return file


def test_what_waits_is_read_beside_the_agent_that_holds_the_spool_for_itself(tmp_path: Path) -> None:
    file = spooled(tmp_path / "E1.spool", 500)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite3.connect(tmp_path / "E1.spool", timeout=0).execute("SELECT * FROM record")
    found = waiting(tmp_path)
    assert (found.epoch, found.why, [kept.seq for kept in found.records]) == ("E1", "", list(range(1, 501)))
    assert found.records[0].shape == RECORDER
    with file.changing():
        file.release(400)
    assert [kept.seq for kept in waiting(tmp_path).records] == list(range(401, 501))
    story = Story()
    story._reach["E1"] = 450
    assert seqs(still_waiting(waiting(tmp_path), story)) == list(range(451, 501))
    file.close()
    assert [kept.seq for kept in waiting(tmp_path).records] == list(range(401, 501))


def test_a_spool_that_is_not_there_or_too_large_to_be_copied_is_said(tmp_path: Path) -> None:
    assert waiting(tmp_path) == ("", [], "")
    spooled(tmp_path / "E1.spool", 10).close()
    assert "too many to be copied" in waiting(tmp_path, most=100).why
    (tmp_path / "E2.spool").write_bytes(b"no spool at all" * 1000)
    assert waiting(tmp_path).why == "the spool cannot be read: file is not a database"
