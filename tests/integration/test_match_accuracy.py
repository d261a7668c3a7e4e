"""Every recording of a device in the package snmpsim-data gets the profile that it should get: none is taken for another.

Of a recording only the objects that profiles ask for are loaded, and of those over 8 MB what is in their first 8 MB; those
of more than 3 MB packed are left out, reading them takes too long.
"""

from __future__ import annotations

import asyncio
import bz2
import re
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import pytest

from agent.profiles.files import shipped
from agent.profiles.matching import find, questions
from agent.settings.target import Target
from agent.snmp.opening import opener
from forewarn.demo import ber
from forewarn.demo.recordings import still
from forewarn.demo.responder import Device, Responder
from forewarn.settings import Duration, Secret

EXPECTED = Path(__file__).parents[1] / "fixtures" / "matching.txt"
PACKAGE = resources.files("snmpsim_data") / "data"
LARGEST, LARGEST_PACKED = 8 << 20, 3 << 20


def files(folder: Traversable, path: str = "") -> Iterator[tuple[str, Traversable]]:
    for each in sorted(folder.iterdir(), key=lambda one: one.name):
        name = f"{path}/{each.name}".lstrip("/")
        if each.is_dir():
            yield from files(each, name)
        elif ".snmprec" in each.name:
            yield name.partition(".snmprec")[0], each


def asked() -> re.Pattern[bytes]:
    """The lines of a recording that matching may ask for."""
    exists = {
        str(condition.innermost().exists)
        for profile in shipped().values()
        for condition in (profile.match.conditions() if profile.match else ())
        if condition.innermost().exists is not None
    }
    scalars = "|".join(re.escape(oid) for oid in questions(shipped().values()))
    return re.compile(
        rf"^(?:(?:{scalars})\||(?:{'|'.join(map(re.escape, sorted(exists)))})\.).*$".encode(), re.MULTILINE
    )


def loaded(content: bytes, wanted: re.Pattern[bytes]) -> dict[str, bytes]:
    if content.startswith(b"BZh"):
        content = bz2.BZ2Decompressor().decompress(content, LARGEST)
    return ber.recorded("\n".join(plain(line.decode("latin-1")) for line in wanted.findall(content)))


def plain(line: str) -> str:
    """A line with one value; two recordings have a text where hexadecimal digits are announced."""
    oid, tag, content = still(line.rstrip("\r")).split("|", 2)
    text = tag.endswith("x") and not re.fullmatch("([0-9a-fA-F]{2})*", content)
    return "|".join((oid, tag.rstrip("x") if text else tag, content))


async def matched(devices: dict[str, Device]) -> dict[str, str]:
    open_session = opener()

    async def profile(device: Device) -> str:
        target = Target(
            name="it",
            address=device.address,
            port=device.port,
            community=Secret("public"),
            timeout=Duration(5),
            retries=2,
        )
        session = open_session(target)
        fit, _ = await find(shipped().values(), session)
        session.close()
        assert fit is not None
        return str(fit.profile.id)

    return {name: await profile(device) for name, device in devices.items()}


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    wanted = asked()
    with Responder() as responder:
        read = ((name, file.read_bytes()) for name, file in files(PACKAGE))
        devices = {name: responder.add(loaded(data, wanted)) for name, data in read if len(data) <= LARGEST_PACKED}
        return asyncio.run(matched(devices))


def expected() -> Iterator[tuple[str, str, str]]:
    """Recording, profile it gets, what is wrong with that ("" for nothing)."""
    for line in EXPECTED.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            row, _, wrong = line.partition("  # wrong: ")
            name, profile = row.split()
            yield name, profile, wrong


def test_every_recorded_device_gets_the_profile_in_the_table(found):
    assert found == {name: profile for name, profile, _ in expected()}


def test_nine_in_ten_of_all_recorded_devices_are_matched_rightly(found):
    wrong = {name: why for name, _, why in expected() if why}
    assert len(wrong) * 10 <= len(found), wrong


def test_no_camera_recorder_or_sensor_is_taken_for_a_computer(found):
    kinds = {str(profile.id): str(profile.kind) for profile in shipped().values()}
    for name, profile in found.items():
        if name.startswith(("camera/", "iot/")):
            assert kinds[profile] in ("camera", "recorder", "sensor", "other"), name
