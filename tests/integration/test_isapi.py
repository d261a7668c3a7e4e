"""Hikvision devices over ISAPI, with written answers behind a real HTTP server that asks for a digest."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import agent.isapi
from agent.devices.beside import Company
from agent.devices.lockout import REST
from agent.isapi.contact import Isapi
from agent.isapi.mapping import Mapping, shipped
from agent.reading import Happening, Reading
from agent.settings.login import Login
from agent.settings.target import Target
from forewarn.settings import Secret, SettingError, read
from forewarn.vocabulary import DeviceKind, Source
from tests.clocks import SteppedClock
from tests.polling import reading
from tests.web_devices import PASSWORD, USER, WebDevice, serving

ANSWERS = Path(__file__).parents[1] / "fixtures" / "isapi"


@pytest.fixture
def recorder() -> Iterator[WebDevice]:
    with serving(WebDevice(yaml.safe_load((ANSWERS / "recorder.yaml").read_text()))) as device:
        yield device


@pytest.fixture
def camera() -> Iterator[WebDevice]:
    with serving(WebDevice(yaml.safe_load((ANSWERS / "camera.yaml").read_text()))) as device:
        yield device


def target(device: WebDevice, **changed: Any) -> Target:
    login = Login(user=USER, password=Secret(PASSWORD), port=device.port)
    return Target(name="it", address="127.0.0.1", **{"use_snmp": False, "isapi": login, **changed})


def contact(device: WebDevice, clock: SteppedClock, **changed: Any) -> Isapi:
    of = target(device, **changed)
    company = Company(of)
    made = Isapi(of, company, clock=clock, leads=True)
    company.members.append(made)
    return made


def polled(made: Isapi) -> list[Reading | Happening]:
    return asyncio.run(made.poll())


def values(items: list[Reading | Happening]) -> dict[tuple[str, str, str], float | None]:
    found = reading(items)
    return dict(zip(found.shape.columns(), found.values, strict=True))


def texts(items: list[Reading | Happening], kind: str = "inventory") -> list[dict[str, str]]:
    return [item.text for item in items if isinstance(item, Happening) and item.kind == kind]


def test_a_recorder_tells_its_disks_channels_recording_clock_and_who_it_is(recorder):
    items = polled(contact(recorder, SteppedClock()))
    found = values(items)
    assert (reading(items).ok, reading(items).why) == (True, "")
    assert reading(items).shape.source is Source.ISAPI
    assert reading(items).shape.kind is DeviceKind.RECORDER
    assert found["device", "", "up"] == 1
    assert found["device", "", "uptime_seconds"] == 86400
    assert found["device", "", "clock_offset_seconds"] == 60
    assert found["host", "", "cpu_percent"] is None, "recorders say 0 whatever they do"
    assert found["host", "", "memory_used_percent"] == 30
    assert [found["disk", disk, "status"] for disk in "12"] == [0, 2]
    assert found["disk", "1", "total_bytes"] == 1907729 * 1024**2
    assert found["disk", "1", "free_bytes"] == 2048 * 1024**2
    assert (found["disk", "1", "temperature_celsius"], found["disk", "1", "power_on_hours"]) == (41, 2400)
    assert (found["disk", "1", "reallocated_sectors"], found["disk", "1", "pending_sectors"]) == (3, 8)
    assert found["disk", "2", "temperature_celsius"] is None, "no SMART of this disk: null, never 0"
    assert [found["channel", channel, "status"] for channel in "12"] == [0, 2]
    assert [found["channel", channel, "recording"] for channel in "12"] == [1, 0]
    assert [found["channel", channel, "video_loss"] for channel in "12"] == [0, 1]
    assert ("channel", "3", "recording") not in found, "no camera was ever given to channel 3"
    assert found["volume", "", "overwrite"] == 1
    (inventory,) = texts(items)
    assert inventory["serial"] == "DS-7708NI-SAMPLE0001"
    assert (inventory["vendor"], inventory["model"]) == ("Hikvision", "DS-7708NI")
    assert (inventory["mac"], inventory["firmware"]) == ("02:00:00:00:00:01", "V4.30.005")


def test_a_camera_of_another_firmware_is_read_the_same(camera):
    items = polled(contact(camera, SteppedClock()))
    found = values(items)
    assert reading(items).shape.kind is DeviceKind.CAMERA
    assert (found["host", "", "cpu_percent"], found["device", "", "clock_offset_seconds"]) == (27, 0)
    assert not [key for key in found if key[0] in ("channel", "disk", "volume")]
    assert texts(items)[0]["model"] == "DS-2CD2T43G0"
    assert not [each.path for each in camera.asked if "InputProxy" in each.path]


def test_nothing_but_get_is_ever_sent_and_no_other_verb_is_in_the_code(recorder):
    polled(contact(recorder, SteppedClock()))
    assert {each.method for each in recorder.asked} == {"GET"}
    for file in Path(agent.isapi.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = node.attr if isinstance(node, ast.Attribute) else ""
            assert called not in ("post", "put", "delete", "patch", "_asked", "_timed"), f"{file.name}: {called}"
            words = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            assert words not in ("POST", "PUT", "DELETE", "PATCH"), f"{file.name}: {words}"
    assert all(group.path.startswith("/ISAPI/") for group in shipped().groups)


def test_a_refused_password_is_said_once_and_not_again_for_half_an_hour(recorder):
    recorder.password = "another"
    clock = SteppedClock()
    made = contact(recorder, clock)
    items = polled(made)
    assert recorder.refused() == 1
    assert reading(items).why == f"credentials refused for user `{USER}`"
    assert not reading(items).ok
    assert values(items)["device", "", "up"] == 1, "it answers: it is there"
    for _ in range(10):
        clock.step(60)
        again = reading(polled(made))
        asyncio.run(made.back())
    assert recorder.refused() == 1
    assert "credentials refused" in again.why
    clock.step(REST)
    polled(made)
    assert recorder.refused() == 2


def test_a_device_that_hangs_up_on_a_wrong_password_hears_it_no_more_often(recorder):
    recorder.password, recorder.hangs_up = "another", True
    clock = SteppedClock()
    made = contact(recorder, clock)
    found = reading(polled(made))
    assert found.why == f"it hangs up when told the password of user `{USER}`"
    heard = recorder.refused()
    assert heard <= 2, "once more, for it may have closed what it had left open"
    for _ in range(10):
        clock.step(60)
        polled(made)
    assert recorder.refused() == heard


def test_a_changed_password_is_tried_at_once(recorder, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    login = Login(user=USER, password_file=secret, port=recorder.port)
    made = contact(recorder, SteppedClock(), isapi=login)
    assert "credentials refused" in reading(polled(made)).why
    secret.write_text(f"{PASSWORD}\n")
    assert reading(polled(made)).ok


def test_a_password_file_that_cannot_be_read_says_nothing_of_the_device(recorder, tmp_path):
    secret = tmp_path / "password"
    made = contact(recorder, SteppedClock(), isapi=Login(user=USER, password_file=secret, port=recorder.port))
    missing = reading(polled(made))
    assert "cannot be asked: " in missing.why
    assert values([missing])["device", "", "up"] is None, "null, never 0: nobody asked it"
    secret.write_bytes("密码open-sesame".encode("gbk"))
    unread = reading(polled(made))
    assert "is no text in UTF-8" in unread.why
    assert "sesame" not in unread.why
    assert not recorder.asked


def test_no_password_is_said_to_a_device_that_knows_basic_alone(recorder):
    recorder.scheme = 'Basic realm="it"'
    why = reading(polled(contact(recorder, SteppedClock()))).why
    assert why == "it offers Basic, and we say a password by Digest alone: switch its authentication to digest"
    assert not any(each.authorized for each in recorder.asked)


def test_while_a_password_rests_the_reason_stays_and_the_device_is_still_asked_whether_it_is_there(recorder):
    recorder.scheme = 'Basic realm="it"'
    clock = SteppedClock()
    made = contact(recorder, clock)
    polled(made)
    clock.step(60)
    again = reading(polled(made))
    assert again.why.startswith("it offers Basic, and we say a password by Digest alone")
    assert again.why.endswith("; asked again in 29 min")
    assert values([again])["device", "", "up"] == 1
    with serving(WebDevice({})) as gone:
        pass
    made._login = Login(user=USER, password=Secret(PASSWORD), port=gone.port)
    clock.step(60)
    assert "refuses connections" in reading(polled(made)).why, (
        "a device that is gone is not told as up for half an hour"
    )


def test_a_user_beyond_ascii_is_refused_or_taken_like_any_other(recorder):
    login = Login(user="张", password=Secret(PASSWORD), port=recorder.port)
    assert reading(polled(contact(recorder, SteppedClock(), isapi=login))).why == "credentials refused for user `张`"


def test_a_device_that_renames_its_disks_for_ever_fills_no_memory(recorder):
    clock = SteppedClock()
    made = contact(recorder, clock)
    disks = next(path for path in recorder.answers if path.endswith("/Storage"))
    shown = recorder.answers[disks]
    for number in range(5):
        recorder.answers[disks] = shown.replace("<id>", f"<id>{number}-")
        polled(made)
        clock.step(2 * 3600)
    assert sum("SMARTTest" in path for path in made._showing.lacks) == 2, "those of the last poll, and of no other"


def test_a_password_is_never_printed(recorder):
    made = contact(recorder, SteppedClock())
    assert PASSWORD not in repr(made.target) + repr(made.target.isapi.revealed())


def test_what_a_device_does_not_have_or_forbids_costs_that_alone_and_is_asked_seldom(recorder):
    recorder.statuses["/ISAPI/ContentMgmt/InputProxy/channels/status"] = 403
    del recorder.answers["/ISAPI/System/status"]
    clock = SteppedClock()
    made = contact(recorder, clock)
    first = polled(made)
    assert reading(first).why == "incomplete: the user has no right to /ISAPI/ContentMgmt/InputProxy/channels/status"
    assert values(first)["disk", "1", "status"] == 0
    count = len(recorder.asked)
    clock.step(60)
    polled(made)
    again = {each.path for each in recorder.asked[count:]}
    assert "/ISAPI/ContentMgmt/Storage" in again
    assert "/ISAPI/System/status" not in again
    assert not [path for path in again if "SMARTTest" in path], "SMART is asked every hour"


def test_recording_is_not_told_where_the_channels_are_numbered_otherwise(recorder):
    recorder.answers["/ISAPI/System/workingstatus/chanStatus?format=json"] = (
        '{"ChanStatus": [{"chanNo": 2, "record": 1, "signal": 0}, {"chanNo": 3, "record": 0, "signal": 0}]}'
    )
    found = values(polled(contact(recorder, SteppedClock())))
    assert found["channel", "1", "status"] == 0
    assert not [key for key in found if key[2] == "recording"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("<html><body>login</html>", "no ISAPI: its answer is no XML"),
        ('<!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>', "declares a document type"),
        ("<a>" * 100 + "</a>" * 100, "larger than any we know"),
        ("x" * (1024 * 1024 + 1), "longer than 1048576 octets"),
        ("", "no ISAPI"),
        ("<html><body/></html>", "no ISAPI: it answers with `html` where a device tells who it is"),
    ],
)
def test_an_answer_that_is_none_is_named(camera, answer, why):
    camera.answers["/ISAPI/System/deviceInfo"] = answer
    found = reading(polled(contact(camera, SteppedClock())))
    assert (found.ok, found.values[0]) == (False, 1)
    assert why in found.why


def test_a_mistake_of_ours_costs_one_poll_and_never_the_agent(camera, monkeypatch):
    made = contact(camera, SteppedClock())

    def mistaken(*_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("agent.isapi.reading.told", mistaken)
    found = reading(polled(made))
    assert (found.ok, found.values[0]) == (False, 1)
    assert "not understood, please report it" in found.why


def test_a_device_that_is_gone_is_down_and_is_asked_with_growing_pauses(camera):
    clock = SteppedClock()
    made = contact(camera, clock)
    polled(made)
    camera.answers.clear()
    closed = camera.port
    with serving(WebDevice({})) as other:
        pass
    made._login = Login(user=USER, password=Secret(PASSWORD), port=other.port)
    assert closed != other.port
    for _ in range(3):
        clock.step(60)
        items = polled(made)
    assert reading(items).why == f"it refuses connections to TCP port {other.port}"
    assert made.health.standing == "down"
    assert reading(items).shape.kind is DeviceKind.CAMERA, "its last shape stays"


def test_another_device_under_its_name_and_another_firmware_are_events(camera):
    clock = SteppedClock()
    made = contact(camera, clock)
    polled(made)
    info = camera.answers["/ISAPI/System/deviceInfo"]
    camera.answers["/ISAPI/System/deviceInfo"] = info.replace("V5.5.82", "V5.7.1")
    assert texts(polled(made), "event") == [
        {"event": "firmware changed", "what": "firmware", "before": "V5.5.82", "after": "V5.7.1"}
    ]
    camera.answers["/ISAPI/System/deviceInfo"] = info.replace("SAMPLE0002", "SAMPLE0099")
    assert texts(polled(made), "event")[0]["event"] == "device replaced"


def test_a_mistake_in_a_mapping_has_its_place_and_the_nearest_word():
    text = (
        "id: x\nsrc: x\ninventory: {path: /ISAPI/a, texts: {modle: model}, kind: devicetype, kinds: {}}\n"
        "groups:\n  - {table: disk, path: /etc, src: x, fields: {statsu: {element: Status}}}\n"
    )
    with pytest.raises(SettingError) as refused:
        read(Mapping, text, "m.yaml")
    said = str(refused.value)
    assert "m.yaml:3:37: no inventory text is called `modle`; did you mean `model`?" in said
    assert "m.yaml:5:25: a path of ISAPI begins with `/ISAPI/`, not `/etc`" in said
    assert "`statsu`; did you mean `status`?" in said
    assert "names of elements are in lower case here: `status`" in said
