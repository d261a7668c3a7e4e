"""The look at an agent, one thing after the other, in the order a beginner has to put them right.

Errors:
    SettingError   the settings are wrong, so that nothing can be looked at
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent.app import SystemClock, find_profiles
from agent.checking import fresh, last_status
from agent.doctor import consent, delivery, devices, host, spool, traps
from agent.guard import Guard
from agent.settings import Settings, load
from forewarn.doctor import machine
from forewarn.doctor.diagnosis import Diagnosis, Progress, mistakes, ok, span, warn
from forewarn.settings import SettingError


def look(file: Path, progress: Progress) -> Iterator[Diagnosis]:
    """Looks at the agent of a settings file.

    Args:
        file: agent.yaml.
        progress: told how far the polling of the devices is.

    Raises:
        SettingError: see above.
    """
    settings = load(file)
    clock = SystemClock()
    yield machine.program()
    yield _settings(settings)
    yield from machine.secrets_kept(file, settings)
    yield machine.folder(settings.folder)
    yield from spool.look(settings)
    yield machine.clock()
    yield from _runs(settings)
    guard = Guard(
        settings.folder, settings.consent_file, site=settings.site, trusted=settings.trusted_keys, clock=clock
    )
    yield from consent.look(settings, guard, clock)
    yield from delivery.look(settings, clock)
    try:
        profiles = find_profiles(settings)
    except SettingError as wrong:
        yield from mistakes("profiles", wrong)
    else:
        own = f", with those of {settings.profiles}" if settings.profiles else ""
        yield ok("profiles", f"{len(profiles)}{own}")
        yield from devices.look(settings, profiles, guard, clock, progress)
    yield from traps.look(settings)
    yield from host.look(settings, guard, clock)


def _settings(settings: Settings) -> Diagnosis:
    count = "1 device" if len(settings.devices) == 1 else f"{len(settings.devices)} devices"
    return ok("settings", f"site {settings.site}, agent {settings.agent}, {count}")


def _runs(settings: Settings) -> Iterator[Diagnosis]:
    seen = last_status(settings.folder)
    if seen is None:
        yield ok("agent", "has not run here yet; `forewarn agent run` starts it")
    elif fresh(seen.age):
        yield ok("agent", f"runs (process {seen.status.pid})")
    elif seen.age < 0:
        what = f"its last word is {span(-seen.age)} in the future: this machine's clock was set back"
        yield warn("agent", what, "see that the clock is right now; `forewarn agent run` starts the agent")
    else:
        yield warn("agent", f"does not run; its last word is {span(seen.age)} old", "`forewarn agent run` starts it")
