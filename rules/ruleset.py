"""Rules as written and as understood: YAML in, checked rules out, every mistake with file, line and column.

Reading files is the caller's: this module sees texts and the names they go by.

Errors:
    forewarn.settings.SettingError   the mistakes of all texts, not just the first
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from forewarn.settings import Duration, Marked, SettingError, Wrong, read
from forewarn.vocabulary import TABLES, DeviceKind, nearest
from rules.checking import Checked, Mistake, check, operator_key
from rules.language import Call, Condition, Node, Unreadable, condition, expression
from rules.wording import PLAIN_WORDS

SEVERITIES = ("warning", "critical")


class Texts(msgspec.Struct, forbid_unknown_fields=True):
    """A text in both languages."""

    zh: Marked
    en: Marked


class TicketTexts(msgspec.Struct, forbid_unknown_fields=True):
    """What the ticket says: values stand in braces, `{used_percent}`, `{ttt.low}`."""

    title: Texts
    advice: Texts


class On(msgspec.Struct, forbid_unknown_fields=True):
    """What a rule looks at."""

    table: Marked
    device: list[DeviceKind] | DeviceKind | None = None
    where: Marked | None = None


class When(msgspec.Struct, forbid_unknown_fields=True):
    """When it holds, per severity; a condition may end in `for 3m`."""

    warning: Marked | None = None
    critical: Marked | None = None

    def __post_init__(self) -> None:
        if self.warning is None and self.critical is None:
            raise ValueError("`when` needs a `warning` or a `critical` condition")


class Recover(msgspec.Struct, forbid_unknown_fields=True, rename={"held_for": "for"}):
    """When it is over: a condition and how long it must hold, or never by itself."""

    when: Marked | None = None
    held_for: Duration = Duration(0)
    never: bool = False

    def __post_init__(self) -> None:
        if self.never == (self.when is not None):
            raise ValueError("`recover` needs `when: CONDITION`, or `never: true` for what does not heal")


class Opened(msgspec.Struct, forbid_unknown_fields=True):
    """One ticket a test expects: what is left out matches anything; `says` must stand in the English title."""

    device: Marked | None = None
    instance: Marked | None = None
    severity: Literal["warning", "critical"] | None = None
    says: Marked | None = None


class Expected(msgspec.Struct, forbid_unknown_fields=True):
    """Which tickets stand open at a time: exactly these."""

    at: Duration
    open: list[Opened]


class Test(msgspec.Struct, forbid_unknown_fields=True):
    """A test beside its rule."""

    name: Marked
    series: dict[Marked, Marked]
    expect: list[Expected]
    every: Duration = Duration(60)
    devices: dict[str, DeviceKind] = {}


class RuleText(msgspec.Struct, forbid_unknown_fields=True):
    """A rule as written."""

    id: Marked
    on: On
    when: When
    recover: Recover
    ticket: TicketTexts
    unless: Marked | None = None
    suppressed_by: list[Marked] = []
    probes: list[Marked] = []
    sets: Literal["unknown"] | None = None
    tests: list[Test] = []


class Text(NamedTuple):
    """A piece of a ticket's text: words to stand as they are, or a value."""

    words: str
    value: Node | None = None
    unit: str = ""


@dataclass(frozen=True, eq=False)
class Rule:
    """A rule as understood.

    `when` has one or both severities. `calls` are its functions, inner ones first, each once. `texts` has
    ("title" | "advice", "zh" | "en"). A rule `on_ticks` judges agents by their silence, at ticks; the others judge
    polls. `version` changes when, and only when, its decisions may.
    """

    id: str
    source: str
    table: str
    devices: frozenset[DeviceKind]
    where: Node | None
    unless: Node | None
    when: Mapping[str, Condition]
    recover: Condition | None
    fields: tuple[str, ...]
    calls: tuple[Call, ...]
    texts: Mapping[tuple[str, str], tuple[Text, ...]]
    version: str
    suppressed_by: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    sets: str = ""
    tests: Sequence[Test] = field(default_factory=tuple)

    @property
    def on_ticks(self) -> bool:
        """Whether the rule judges silence at ticks."""
        return any(call.name == "absent" for call in self.calls)


def text_of(pieces: Iterable[Text]) -> str:
    """A rule's text as it is written: values in braces."""
    return "".join(f"{{{piece.value.text}}}" if piece.value is not None else piece.words for piece in pieces)


class Ruleset(NamedTuple):
    """The rules in force, in the order of their ids."""

    rules: tuple[Rule, ...]

    @property
    def version(self) -> str:
        """Digest over all rules."""
        return _digest(*(rule.version for rule in self.rules))


def ruleset(texts: Iterable[tuple[str, str]]) -> Ruleset:
    """Understands rules.

    Args:
        texts: (name for errors, YAML text) of each file; a file is a list of rules.

    Raises:
        SettingError: with every mistake in every text.
    """
    wrongs: list[Wrong] = []
    rules: dict[str, Rule] = {}
    for source, text in texts:
        try:
            written = read(list[RuleText], text, source)
        except SettingError as wrong:
            wrongs += wrong.wrongs
            continue
        for one in written:
            reading = _Reading(one)
            rule = reading.rule()
            wrongs += reading.wrongs
            if one.id in rules:
                wrongs.append(one.id.wrong(f"rule `{one.id}` is given twice, first in {rules[one.id].source}"))
            rules[one.id] = rule
    if wrongs:
        raise SettingError(wrongs)
    return Ruleset(tuple(rules[name] for name in sorted(rules)))


_ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


class _Reading:
    """Understands one rule, collecting what is wrong with it."""

    def __init__(self, text: RuleText) -> None:
        self.text = text
        self.table = str(text.on.table)
        self.wrongs: list[Wrong] = []
        self.fields: dict[str, None] = {}
        self.calls: dict[Call, None] = {}

    def rule(self) -> Rule:
        text = self.text
        self._names()
        where, unless = self._plain(text.on.where), self._plain(text.unless)
        given = {"warning": text.when.warning, "critical": text.when.critical}
        when = {severity: self._condition(mark) for severity, mark in given.items() if mark is not None}
        recover = None
        if text.recover.when is not None:
            tree = self._condition(text.recover.when)
            recover = Condition(tree.tree, tree.held_for or round(text.recover.held_for * 1000))
        texts = self._texts()
        self._silence()
        kinds = text.on.device or []
        devices = frozenset(kinds if isinstance(kinds, list) else [kinds])
        meaning = [str(text.id), self.table, ",".join(sorted(devices)), repr(recover), repr(sorted(when.items()))]
        return Rule(
            id=str(text.id),
            source=f"{text.id.mark.source}:{text.id.mark.line}",
            table=self.table,
            devices=devices,
            where=where,
            unless=unless,
            when=when,
            recover=recover,
            fields=tuple(self.fields),
            calls=tuple(self.calls),
            texts=texts,
            version=_digest(*meaning, repr(where), repr(unless)),
            suppressed_by=tuple(map(str, text.suppressed_by)),
            probes=tuple(map(str, text.probes)),
            sets=text.sets or "",
            tests=text.tests,
        )

    def _names(self) -> None:
        if not _ID.fullmatch(self.text.id):
            self.wrongs.append(self.text.id.wrong(f"`{self.text.id}` is no rule id: write it like `volume.filling`"))
        if self.table not in TABLES:
            mark = self.text.on.table
            self.wrongs.append(mark.wrong(f"unknown table `{mark}`{nearest(mark, TABLES)}"))

    def _note(self, text: Marked, checked: Checked, offset: int = 0) -> None:
        if self.table in TABLES:
            self.wrongs += [text.wrong(what, offset + at) for at, what in checked.mistakes]
        self.fields.update(dict.fromkeys(checked.fields))
        self.calls.update(dict.fromkeys(checked.calls))

    def _condition(self, text: Marked) -> Condition:
        try:
            understood = condition(text)
        except Unreadable as wrong:
            self.wrongs.append(text.wrong(wrong.what, wrong.offset))
            return Condition(Node(0, text), 0)
        self._note(text, check(understood.tree, self.table))
        return understood

    def _plain(self, text: Marked | None) -> Node | None:
        if text is None:
            return None
        understood = self._condition(text)
        if understood.held_for:
            self.wrongs.append(text.wrong("`for` belongs to `when` and `recover`"))
        return understood.tree

    def _silence(self) -> None:
        silent = any(call.name == "absent" for call in self.calls)
        if silent and (self.fields or self.table != "agent"):
            what = "`absent()` judges agents at ticks: its rule is on table `agent` and names no field"
            self.wrongs.append(self.text.id.wrong(what))

    def _texts(self) -> dict[tuple[str, str], tuple[Text, ...]]:
        ticket = self.text.ticket
        written = {
            ("title", "zh"): ticket.title.zh,
            ("title", "en"): ticket.title.en,
            ("advice", "zh"): ticket.advice.zh,
            ("advice", "en"): ticket.advice.en,
        }
        return {which: tuple(self._pieces(text)) for which, text in written.items()}

    def _pieces(self, text: Marked) -> Iterable[Text]:
        at = 0
        for found in re.finditer(r"\{([^{}]*)\}", text):
            yield Text(text[at : found.start()])
            at = found.end()
            yield self._value(text, found[1], found.start() + 1)
        rest = text[at:]
        for brace in re.finditer(r"[{}]", rest):
            self.wrongs.append(text.wrong(f"`{brace[0]}` has no partner: a value stands in braces", at + brace.start()))
        yield Text(rest)

    def _value(self, text: Marked, inside: str, at: int) -> Text:
        if inside in PLAIN_WORDS:
            return Text(inside, Node(at, inside))
        name, _, part = inside.partition(".")
        for call in self.calls:
            if call.name == name:
                node: Node = Call(at, inside, call.name, call.arguments, part)
                checked = check(node, self.table, truth=False)
                self.wrongs += [text.wrong(mistake.what, at) for mistake in checked.mistakes]
                return Text("", node, checked.unit)
        try:
            tree = expression(inside)
        except Unreadable as wrong:
            self.wrongs.append(text.wrong(wrong.what, at + wrong.offset))
            return Text("")
        checked = check(tree, self.table, truth=False)
        known = {operator_key(call) for call in self.calls}
        alien = [
            Mistake(call.at, f"`{call.text}` is not part of the rule") for call in checked.calls if call not in known
        ]
        words = [*PLAIN_WORDS, *checked.fields]
        near = (
            nearest(inside, PLAIN_WORDS) if checked.mistakes and "did you mean" not in checked.mistakes[0].what else ""
        )
        mistakes = [Mistake(place, what + near) for place, what in [*checked.mistakes, *alien]]
        del words
        self._note(text, checked._replace(mistakes=mistakes, calls=()), at)
        return Text("", tree, checked.unit)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()
