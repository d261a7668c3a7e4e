"""The traps we have words for, from the tables beside this module: OID → event, how bad, where, in two languages.

A person's own tables, in a folder that the settings name, have the same form; what they say of a trap counts.

Errors:
    forewarn.settings.SettingError   a table is wrong: file, line, column
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.traps.pipe import Notice
from forewarn.settings import Mark, Marked, SettingError, Wrong, read_file

FOLDER = Path(__file__).parent
_OID = re.compile(r"[0-2](\.[0-9]+)+")
_FACTS = 12
"""Objects of a trap that stand in its event."""


class Word(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One trap. `instance` are columns of which the first that came says where; `facts` name further columns."""

    oid: Marked
    event: Annotated[str, Meta(min_length=1)]
    zh: Annotated[str, Meta(min_length=1)]
    severity: Literal["none", "warning", "critical"]
    instance: list[str] = []
    facts: dict[str, str] = {}


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table: where its OIDs are from, and its traps. `facts` are named in all of them."""

    src: str
    traps: list[Word]
    facts: dict[str, str] = {}


def words(own: Path | None) -> dict[str, Word]:
    """The shipped tables, with those of a folder of one's own over them.

    Raises:
        SettingError: there is no such folder, a table is wrong, or two of the same folder name the same trap.
    """
    if own is None:
        return load()
    if not own.is_dir():
        raise SettingError([Wrong(Mark(str(own), 1, 1), "there is no such folder")])
    return load() | load(own)


def load(folder: Path = FOLDER) -> dict[str, Word]:
    """All traps of a folder's tables by their OID.

    Raises:
        SettingError: a table is wrong, or two name the same trap.
    """
    found: dict[str, Word] = {}
    wrongs: list[Wrong] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            table = read_file(Words, path)
        except SettingError as wrong:
            wrongs += wrong.wrongs
            continue
        for word in table.traps:
            wrongs += _malformed(word)
            if word.oid in found:
                wrongs.append(word.oid.wrong(f"`{word.oid}` is `{found[word.oid].event}` already"))
            found[str(word.oid)] = msgspec.structs.replace(word, facts=table.facts | word.facts)
    if wrongs:
        raise SettingError(wrongs)
    return found


def _malformed(word: Word) -> Iterator[Wrong]:
    """What of a trap is no OID; a column that says where may end in `.*`."""
    columns = [column.removesuffix(".*") for column in word.instance]
    for oid in (str(word.oid), *columns, *word.facts.values()):
        if not _OID.fullmatch(oid):
            yield word.oid.wrong(f"`{oid}` is no OID: numbers with dots between, like 1.3.6.1.6.3.1.1.5.3")


def told(notice: Notice, known: Mapping[str, Word]) -> dict[str, str]:
    """The text of an event: {event, zh, severity, instance, trap, ...facts}; what has no words stays under its OID."""
    word = _word(notice.trap, known)
    text = {"event": word.event if word else "unknown trap", "trap": notice.trap}
    columns: dict[str, str] = {}
    if word is not None:
        text |= {"zh": word.zh, "severity": word.severity}
        columns = {oid: name for name, oid in word.facts.items()}
        where = _where(notice, word)
        if where:
            text["instance"] = where
    for oid, value in notice.binds[:_FACTS]:
        name = next((name for column, name in columns.items() if _within(oid, column)), oid)
        text.setdefault(name, value)
    left_out = notice.more + max(0, len(notice.binds) - _FACTS)
    if left_out:
        text["left_out"] = str(left_out)
    if notice.repeated:
        text["repeated"] = str(notice.repeated)
    return text


def _word(trap: str, known: Mapping[str, Word]) -> Word | None:
    """A trap that came as v1 has a 0 before its last number (RFC 3584 section 3.1), which its MIB may not have."""
    head, _, last = trap.rpartition(".")
    return known.get(trap) or known.get(f"{head.removesuffix('.0')}.{last}") or known.get(f"{head}.0.{last}")


def _where(notice: Notice, word: Word) -> str:
    """The value of the first column that came; of a column written with `.*`, its index."""
    for column in word.instance:
        wanted, by_index = column.removesuffix(".*"), column.endswith(".*")
        for oid, value in notice.binds:
            if _within(oid, wanted) and (by_index or value):
                return oid[len(wanted) + 1 :] if by_index else value
    return ""


def _within(oid: str, column: str) -> bool:
    return oid == column or oid.startswith(f"{column}.")
