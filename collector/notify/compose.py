"""What a notice says: the ticket's own texts, then the facts, in Chinese and English."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from collector.tickets.lifecycle import Kind
from collector.tickets.ticket import Ticket
from rules.finding import Evidence
from rules.wording import worded

WORDS: dict[str, dict[str, str]] = {
    "zh": {
        Kind.OPENED: "新工单",
        Kind.OCCURRENCE: "故障再次出现",
        Kind.CHANGED: "严重程度变化",
        Kind.RECOVERED: "已恢复正常",
        Kind.REOPENED: "工单重新打开",
        "warning": "警告",
        "critical": "严重",
        "site": "站点",
        "device": "设备",
        "at": "时间",
        "ticket": "工单",
        "evidence": "依据",
        "advice": "建议",
    },
    "en": {
        Kind.OPENED: "New ticket",
        Kind.OCCURRENCE: "The fault is back",
        Kind.CHANGED: "Severity changed",
        Kind.RECOVERED: "Recovered",
        Kind.REOPENED: "Ticket reopened",
        "warning": "warning",
        "critical": "critical",
        "site": "Site",
        "device": "Device",
        "at": "Time",
        "ticket": "Ticket",
        "evidence": "Evidence",
        "advice": "Advice",
    },
}


def titles(ticket: Ticket) -> dict[str, str]:
    """The ticket's title by language; a missing language is told in the other one."""
    return {language: _in(ticket.title, language) for language in WORDS}


def bodies(ticket: Ticket, kind: Kind, occurred_at: int) -> dict[str, str]:
    """What happened, in sentences and facts, by language (zh, en)."""
    return {language: _body(ticket, kind, occurred_at, language) for language in WORDS}


def _body(ticket: Ticket, kind: Kind, occurred_at: int, language: str) -> str:
    word = WORDS[language]
    device = f"{ticket.device} · {ticket.instance}" if ticket.instance else ticket.device
    at = datetime.fromtimestamp(occurred_at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [
        f"{word[kind]} ({word.get(ticket.severity, ticket.severity)})",
        _in(ticket.title, language),
        "",
        f"{word['site']}: {ticket.site}",
        *([f"{word['device']}: {device}"] if device else []),
        f"{word['at']}: {at}",
        f"{word['ticket']}: {ticket.id}",
    ]
    advice = _in(ticket.advice, language)
    if advice and kind is not Kind.RECOVERED:
        lines += ["", f"{word['advice']}: {advice}"]
    if ticket.reason is not None and ticket.reason.evidence and kind is not Kind.RECOVERED:
        lines += [
            "",
            f"{word['evidence']} ({ticket.rule}):",
            *(f"  {_told(line, language)}" for line in ticket.reason.evidence),
        ]
    return "\n".join(lines)


def _told(evidence: Evidence, language: str) -> str:
    spare = f" ({evidence.spare})" if evidence.spare else ""
    return f"{evidence.text} → {worded(evidence.value, evidence.unit, language)}{spare}"


def _in(texts: Mapping[str, str], language: str) -> str:
    return texts.get(language) or next((text for text in texts.values() if text), "")
