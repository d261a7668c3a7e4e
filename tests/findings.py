"""Findings as the engine makes them, for tests of what comes after it."""

from __future__ import annotations

from rules.finding import Evidence, Finding, Reason, Turn

HOUR = 3600 * 1000
START = 1_800_000_000_000
"""When the tests' world begins, Unix milliseconds."""


def finding(
    turn: Turn = Turn.OPENED,
    *,
    position: int = 1,
    t: int = START,
    arrived: int | None = None,
    severity: str = "warning",
    device: str = "nvr1",
    rule: str = "volume.filling",
    instance: str = "/data",
    agent: str = "agent-1",
) -> Finding:
    """One turn of a volume that fills up, arrived as it happened unless said otherwise."""
    evidence = Evidence(
        text="ttt(used_percent, 98) < 72h",
        value=41.3 * 3600,
        threshold=72 * 3600.0,
        held=True,
        unit="s",
        detail={"slope": 0.4, "low": 37 * 3600.0, "high": 46 * 3600.0},
        spare="fires unless used_percent < 61.2",
    )
    reason = Reason(
        rule=rule,
        source="library/volume.yaml:3",
        version="0011223344556677",
        severity=severity,
        since=t - HOUR,
        evidence=[evidence],
        values={"used_percent": 81.5, "free_bytes": None},
    )
    return Finding(
        turn=turn,
        site="s1",
        agent=agent,
        device=device,
        rule=rule,
        table="volume",
        instance=instance,
        severity=severity,
        t=t,
        arrived=t if arrived is None else arrived,
        position=position,
        reason=reason,
        title={"zh": f"{device} 的 {instance} 约 41 小时后写满", "en": f"{device}: {instance} is full in about 41 h"},
        advice={"zh": "请扩容或降低码率。", "en": "Extend storage, or cut bit rate or retention."},
    )
