"""All probes of one device, at once: one record, an instance of the table `probe` for each.

Where nothing else is known of the device, they say whether it is up: it is when anything came back, be it a refusal.

Errors: none; a probe that fails is a value.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

from agent.devices.beside import Beside, Company, Gained, Rows
from agent.devices.lockout import Lockout
from agent.devices.remembered import Remembered
from agent.probes.http import Http
from agent.probes.icmp import Icmp
from agent.probes.ntp import Ntp
from agent.probes.probe import FIELDS, Found, Probe, silent
from agent.probes.rtsp import Rtsp, Turns
from agent.probes.tcp import Tcp
from agent.reading import Clock
from agent.settings.probes import ProbeSetting
from agent.settings.target import Target
from forewarn.vocabulary import Source

PROFILE = "probes"
_SOONER = 0.95
"""Of the time that a poll may take: what came by then is told."""


class Probes(Beside):
    """The probes of one device."""

    source = Source.PROBE
    profile = PROFILE
    rests = False

    def __init__(
        self, target: Target, company: Company, *, clock: Clock, leads: bool, remembered: Remembered | None = None
    ) -> None:
        super().__init__(target, company, clock=clock, leads=leads, remembered=remembered)
        self._probes = [made(setting, target, clock, self.lockout, lambda: self.turns) for setting in target.probes]

    async def gain(self, at: float) -> Gained:
        """See Beside."""
        del at  # Every probe is asked every time.
        found = await self._looked()
        by_label = dict(zip((probe.label for probe in self._probes), found, strict=True))
        rows: Rows = {"probe": {probe.label: _row(probe, by_label[probe.label]) for probe in self._probes}}
        offsets = [each.values["clock_offset_seconds"] for each in found if "clock_offset_seconds" in each.values]
        if offsets:
            rows["device"] = {"": {"clock_offset_seconds": offsets[0]}}
        texts = {word: text for each in found for word, text in each.texts.items()}
        missing = [f"{label}: {each.why}" for label, each in by_label.items() if each.why]
        latencies = [each.values["latency_seconds"] for each in found if "latency_seconds" in each.values]
        return Gained(rows, texts, missing=missing, up=_up(found), rtt=min(latencies, default=None))

    async def _looked(self) -> list[Found]:
        """What each found; one that takes longer than a poll may has found nothing, and keeps the others from nothing."""
        asked = [asyncio.create_task(self._in_turn(probe)) for probe in self._probes]
        try:
            within = self.deadline * _SOONER
            await asyncio.wait(asked, timeout=within)
            late = silent(f"no answer within {within:.3g} s, the time between two polls")
            return [each.result() if each.done() else late for each in asked]
        finally:
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _in_turn(self, probe: Probe) -> Found:
        async with nullcontext() if isinstance(probe, Rtsp) else self.turns:  # That one takes turns by itself.
            return await probe.look()

    async def knock(self) -> None:
        """See Beside: probes are asked in their slots, down or not."""


def made(
    setting: ProbeSetting, target: Target, clock: Clock, lockout: Lockout | None = None, turns: Turns = nullcontext
) -> Probe:
    """The probe that a setting asks for; `lockout` and `turns` as `Rtsp` has them."""
    address, label, port, timeout = target.address, setting.label, setting.at_port, float(target.timeout)
    if setting.kind == "icmp":
        return Icmp(address, label=label, timeout=timeout)
    if setting.kind == "tcp":
        return Tcp(address, port, label=label, timeout=timeout)
    if setting.kind == "ntp":
        return Ntp(address, port, label=label, clock=clock, timeout=timeout)
    if setting.kind == "rtsp":
        return Rtsp(address, setting, clock=clock, timeout=timeout, lockout=lockout, turns=turns)
    return Http(
        address,
        port,
        setting.http or "/",
        label=label,
        clock=clock,
        timeout=timeout,
        tls=setting.tls,
        ca=setting.ca,
        name=setting.server_name,
        wanted=setting.status,
    )


def _row(probe: Probe, found: Found) -> dict[str, float | None]:
    return {name: found.values.get(name) for name in FIELDS if name in probe.fields}


def _up(found: list[Found]) -> float | None:
    """None when nothing could be asked: that says nothing of the device."""
    if any(each.there for each in found):
        return 1.0
    return 0.0 if any(each.values for each in found) else None
