"""Delivery: how every agent's records arrive, what could not be taken and why, and whether the collector is well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request
from nicegui import ui

from collector.api.ingest import Ingest
from collector.api.parts import Check
from collector.console import reads
from collector.console.frame import badge, card, drawn, framed, heading, path, visit_of
from collector.console.listing import Cell, Column, Listing, Row, listed
from collector.console.troubles import part_told, refusal_told, trouble_told
from collector.console.units import lasting, measured
from collector.console.visit import Unanswered, Visit
from collector.journal.deadletter import DeadLetters, Letter

_AGAIN_SECONDS = 10


@ui.page("/ingest")
async def ingest_page(request: Request) -> None:
    """Delivery of every agent."""
    visit = visit_of(request)
    say, parts = visit.say, visit.parts
    with framed(visit, say("ingest"), here="ingest"):
        with heading(say("ingest")):
            search = ui.input(placeholder=say("search")).props(f'outlined dense clearable aria-label="{say("search")}"')
            tools = ui.row()
        with card(say("checks")):
            health = ui.row().classes("gap-4")
        with health:
            await drawn(visit, visit.ask(parts.checks), lambda checks: _health(visit, checks))

        def draw(found: Sequence[Ingest]) -> None:
            listing = Listing(visit, _columns(visit), [_row(visit, one) for one in found], "delivery")
            with tools:
                listing.export_button()

            def show() -> None:
                wanted = (search.value or "").strip().lower()
                listing.change([_row(visit, one) for one in found if wanted in f"{one.agent} {one.site}".lower()])

            async def again() -> None:
                nonlocal found
                try:
                    found = await visit.ask(lambda: reads.deliveries(parts))
                    checks = await visit.ask(parts.checks)
                except Unanswered:
                    return  # What stands there is ten seconds old; the next look says more.
                show()
                health.clear()
                with health:
                    _health(visit, checks)

            search.on("update:model-value", show, throttle=0.3)
            ui.timer(_AGAIN_SECONDS, again, immediate=False)

        await drawn(visit, visit.ask(lambda: reads.deliveries(parts)), draw)
        letters = visit.ask(lambda: DeadLetters(parts.journal, now=parts.now).listed(most=50))
        await drawn(visit, letters, lambda rows: _letters(visit, rows))
        await drawn(visit, visit.ask(lambda: reads.set_aside(parts)), lambda rows: _set_aside(visit, rows))


def _health(visit: Visit, checks: Sequence[Check]) -> None:
    for check in checks:
        with ui.row().classes("items-center gap-2"):
            ui.label(part_told(check.name, visit.say))
            badge(visit.say("ok" if check.ok else "trouble"), "good" if check.ok else "bad")
            if check.lag:
                ui.label(visit.say("behind", n=f"{check.lag:,}")).classes("fw-soft fw-small")
            if not check.ok:
                ui.label(trouble_told(check.name, visit.say)).classes("fw-small")
            if check.detail:
                ui.label(check.detail).classes("fw-soft fw-mono").tooltip(visit.say("in_its_words"))


def _columns(visit: Visit) -> list[Column]:
    say = visit.say
    return [
        Column("agent", say("agent"), "name"),
        Column("site", say("site"), wide=True),
        Column("heard", say("heard"), "time"),
        Column("lag", say("lag"), "number"),
        Column("proof", say("last_proof"), wide=True),
        Column("presence", say("presence"), wide=True),
        Column("watermark", say("watermark"), "number", wide=True),
        Column("duplicates", say("duplicates"), "number", wide=True),
        Column("gaps", say("gaps"), "number", wide=True),
        Column("lost", say("declared_lost"), "number", wide=True),
        Column("held", say("held_blocks"), "number", wide=True),
        Column("aside", say("set_aside"), "number", wide=True),
        Column("reason", say("held_reason")),
    ]


def _row(visit: Visit, one: Ingest) -> Row:
    silent = one.heard is None or visit.now - one.heard > reads.SILENT_MS
    return {
        "agent": Cell(one.agent, under=f"… {one.epoch[-8:]}" if one.epoch else ""),
        "site": Cell(one.site, None, path("sites", one.site)),
        "heard": Cell(
            visit.ago(one.heard) if one.heard else visit.say("never"),
            one.heard or 0,
            tone="bad" if silent else "",
            saved=visit.at(one.heard) if one.heard else "",
        ),
        "lag": _count(one.lag)._replace(under=_late(visit, one)),
        "proof": _proof(visit, one),
        "presence": _presence(visit, one),
        "watermark": _count(one.watermark)._replace(
            under=visit.say("of_spool", oldest=f"{one.oldest:,}", head=f"{one.head:,}")
        ),
        "duplicates": _count(one.duplicates),
        "gaps": _count(one.gaps),
        "lost": _count(one.lost, "warn"),
        "held": _count(one.held, "warn" if one.held_reason else ""),
        "aside": _count(one.set_aside, "warn"),
        "reason": Cell(refusal_told(one.held_reason, visit.say) or "—", tone="bad" if one.held_reason else "soft"),
    }


def _late(visit: Visit, one: Ingest) -> str:
    return visit.say("late_by", span=lasting(one.lag_seconds, visit.say)) if one.lag_seconds else ""


def _proof(visit: Visit, one: Ingest) -> Cell:
    """What the newest manifest proves, and up to which record."""
    proof, say = one.proof, visit.say
    if proof is None:
        return Cell(say("proof_none"), 0, tone="soft")
    wrong = proof.verdict in ("missing", "differs")
    count = proof.missing if proof.verdict == "missing" else proof.set_aside
    upto = say("proof_upto", last=f"{proof.last:,}", ago=visit.ago(proof.arrived))
    return Cell(say(f"proof_{proof.verdict}", n=count), proof.arrived, tone="bad" if wrong else "", under=upto)


def _presence(visit: Visit, one: Ingest) -> Cell:
    word, say = one.presence, visit.say
    if word is None:
        return Cell(say("presence_none"), "", tone="soft")
    shown = say(f"presence_{word.state}") if word.state in ("online", "offline") else word.state
    return Cell(shown, word.state, tone="soft", under=say("presence_hint", n=word.conn))


def _count(count: int, tone: str = "") -> Cell:
    return Cell(f"{count:,}", count, tone=tone if count else "soft", saved=str(count))


def _letters(visit: Visit, rows: Sequence[Letter]) -> None:
    if not rows:
        return
    say = visit.say
    columns = [
        Column("noted", say("arrived"), "time"),
        Column("letter", say("letter")),
        Column("agent", say("agent")),
        Column("records", say("letter_records")),
        Column("where", say("letter_where")),
        Column("detail", say("detail"), "long", wide=True),
        Column("remedy", say("letter_remedy"), "long"),
    ]
    lines = [
        {
            "noted": Cell(visit.ago(one.noted), one.noted, saved=visit.at(one.noted)),
            "letter": Cell(one.name, tone="mono"),
            "agent": Cell(one.agent),
            "records": Cell(say("from_to", begin=one.first, end=one.last)),
            "where": Cell(part_told(one.where, say)),
            "detail": Cell(one.detail, tone="mono"),
            "remedy": Cell(say(f"letter_{one.state}", name=one.name)),
        }
        for one in rows
    ]
    listed(visit, say("dead_letters"), columns, lines, "dead-letters")


def _set_aside(visit: Visit, rows: Sequence[Any]) -> None:
    if not rows:
        return
    say = visit.say
    columns = [
        Column("arrived", say("arrived"), "time"),
        Column("agent", say("agent")),
        Column("reason", say("reason")),
        Column("detail", say("detail"), "long", wide=True),
        Column("size", say("size"), "number", wide=True),
        Column("topic", say("topic"), wide=True),
        Column("remedy", say("letter_remedy"), "long", wide=True),
    ]
    lines = [
        {
            "arrived": Cell(visit.ago(row["arrived"]), row["arrived"], saved=visit.at(row["arrived"])),
            "agent": Cell(row["agent"] or "—"),
            "reason": Cell(refusal_told(row["reason"], say)),
            "detail": Cell(row["detail"], tone="mono"),
            "size": Cell(measured(row["size"], "B", say), row["size"]),
            "topic": Cell(row["topic"], tone="mono"),
            "remedy": Cell(say("aside_drop", name=f"s{row['id']}"), tone="soft"),
        }
        for row in rows
    ]
    listed(visit, say("set_aside_list"), columns, lines, "set-aside")
