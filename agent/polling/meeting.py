"""Meets a device: which profile it has, how it is to be polled, and what it is.

Errors: those of `agent.snmp.session`, and
    Nothing   the device answers, but has none of what it is asked for
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import NamedTuple

from agent.polling import nearby, neighbours
from agent.profiles import drawing, matching
from agent.profiles.conversion import words
from agent.profiles.language import Profile
from agent.profiles.matching import Fit, Shown
from agent.profiles.plan import Plan
from agent.snmp.session import Session, SnmpError


class Nothing(SnmpError):
    """The device answers, but has none of what it is asked for: mostly a community that may see nothing."""


class Met(NamedTuple):
    """A device as it is now."""

    plan: Plan
    inventory: dict[str, str]
    """Texts, none empty."""


async def meet(
    session: Session, profiles: Mapping[str, Profile], *, fixed: str | None = None, before: Plan | None = None
) -> Met:
    """Matches a device, draws its plan, reads its inventory.

    Args:
        session: with the device.
        profiles: by id.
        fixed: the profile that the settings name.
        before: the plan it had until now.

    Raises:
        SnmpError: it did not answer.
        Nothing: no profile fits it.
    """
    session.narrow(max_varbinds=None, nonincreasing_ok=False)
    session.unreadable.clear()  # What could not be read may be well by now, or not be asked for any more.
    fit, shown = await recognised(session, profiles, fixed)
    profile, quirks = fit.profile, fit.profile.quirks
    session.narrow(max_varbinds=quirks.max_varbinds, nonincreasing_ok=quirks.nonincreasing_ok, bulk=not quirks.no_bulk)
    drawn = await drawing.make(profile, session, before=before)
    found = await matching.shown_texts(profile, session)
    inventory = matching.inventory(fit, shown.known, found)
    around = ""
    # Some switches fall silent on these tables: that costs a text of the inventory, not the poll.
    with contextlib.suppress(SnmpError):
        here = nearby.own() if profile.neighbours else frozenset()
        around = neighbours.text(await neighbours.read(profile.neighbours, session, poe=_fed(drawn), here=here))
    return Met(drawn, inventory | ({"neighbours": around} if around else {}))


def _fed(plan: Plan) -> frozenset[str]:
    """The instances of `poe` that a device has."""
    return frozenset(instance for table, instance, _ in plan.shape.columns() if table == "poe")


async def recognised(session: Session, profiles: Mapping[str, Profile], fixed: str | None) -> tuple[Fit, Shown]:
    """The profile of a device and why, and what it has shown.

    Raises:
        SnmpError: it did not answer.
        Nothing: no profile fits it.
    """
    if fixed is not None:
        return Fit(profiles[fixed], "fixed by the settings"), Shown(await session.get_many(matching.questions([])))
    fit, shown = await matching.find(profiles.values(), session)
    if fit is None:
        what = words(shown.known.get(matching.DESCRIPTION, b""))
        raise Nothing(f"no profile fits it (sysDescr {what!r})")
    return fit, shown
