"""One device read by several sources at once: one name, no two of them on one series, each within its own scope."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from agent.commands import main
from agent.devices.remembered import Memory
from agent.polling.poller import Poller, poll_once
from agent.profiles.files import shipped
from agent.reading import Happening, Reading
from agent.settings.login import Login
from agent.settings.probes import ProbeSetting
from agent.snmp.opening import opener
from collector.evaluation.devices import Devices
from forewarn import consent as consents
from forewarn.consent import Refusal
from forewarn.demo.responder import Device, Responder
from forewarn.settings import Duration, Secret
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape, TableShape
from rules.samples import Batch, Rows
from rules.samples import Device as Series
from tests.agents import AGENT, SECRET, SITE, signed, write_consent
from tests.polling import Kept, RealClock, ended, in_loop, recorded, target, until
from tests.web_devices import PASSWORD, USER, WebDevice, serving

ANSWERS = Path(__file__).parents[1] / "fixtures" / "isapi" / "recorder.yaml"


@pytest.fixture
def responder() -> Iterator[Responder]:
    with Responder() as running:
        yield running


@pytest.fixture
def web() -> Iterator[WebDevice]:
    with serving(WebDevice(yaml.safe_load(ANSWERS.read_text()))) as device:
        yield device


def sources_of(device: Device, web: WebDevice, **more: Any) -> Any:
    login = Login(user=USER, password=Secret(PASSWORD), port=web.port)
    return target(device, isapi=login, probes=[ProbeSetting(tcp=web.port, name="web")], **{"timeout": 2.0, **more})


def series(item: Reading) -> set[tuple[str, str, str]]:
    return set(item.shape.columns())


def test_sources_share_a_name_and_never_a_series_and_the_leader_alone_says_up_and_tells_the_inventory(responder, web):
    device = recorded(responder, "hikvision.recorder")
    items = asyncio.run(poll_once(sources_of(device, web), shipped(), open_session=opener(), clock=RealClock()))
    by = {item.shape.source: item for item in items if isinstance(item, Reading)}
    assert set(by) == {Source.SNMP, Source.ISAPI, Source.PROBE}
    again = asyncio.run(_rounds(sources_of(device, web)))
    for source, found in again.items():
        for other, also in again.items():
            assert source is other or not series(found) & series(also), (source, other)
    assert ("device", "", "up") in series(again[Source.SNMP])
    assert ("device", "", "up") not in series(again[Source.ISAPI]) | series(again[Source.PROBE])
    isapi = series(again[Source.ISAPI])
    assert ("device", "", "clock_offset_seconds") in isapi, "what SNMP does not give"
    assert ("disk", "1", "temperature_celsius") in isapi
    assert ("disk", "1", "status") not in isapi, "SNMP gives that"
    assert {found.shape.kind for found in again.values()} == {DeviceKind.RECORDER}
    told = [item for item in items if isinstance(item, Happening) and item.kind == "inventory"]
    assert [item.shape.source for item in told if item.shape is not None] == [Source.SNMP]
    assert told[0].text["model"] == "DS-7708NI", "SNMP does not tell it, ISAPI does"


async def _rounds(of: Any) -> dict[Source, Reading]:
    """The last readings of a device polled until every source has been asked with the others known."""
    sink = Kept()
    fast = {"interval": Duration(0.5)}
    poller = Poller(
        [type(of)(**{name: getattr(of, name) for name in of.__struct_fields__} | fast)],
        profiles=shipped(),
        open_session=opener(),
        sink=sink,
        permit=lambda _source, _address: None,
        clock=RealClock(),
    )
    running = asyncio.create_task(poller.run())

    def by() -> dict[Source, list[Reading]]:
        return {source: [item for item in sink.of("it") if item.shape.source is source] for source in Source}

    await until(lambda: all(len(by()[source]) >= 3 for source in (Source.SNMP, Source.ISAPI, Source.PROBE)))
    assert poller.state().devices == 1, "one device, however many sources"
    await ended(running)
    return {source: found[-1] for source, found in by().items() if found}


def test_each_source_is_asked_only_within_its_own_scope(responder, web):
    device = recorded(responder, "hikvision.recorder")
    sink, asked = Kept(), set()

    def permit(source: Source, address: str | None) -> Refusal | None:
        asked.add((source, address))
        return None if source is Source.PROBE else Refusal.SCOPE

    async def steps() -> None:
        poller = Poller(
            [sources_of(device, web, interval=Duration(0.2))],
            profiles=shipped(),
            open_session=opener(),
            sink=sink,
            permit=permit,
            clock=RealClock(),
        )
        running = asyncio.create_task(poller.run())
        await until(lambda: len(sink.of("it")) >= 3 and len(asked) == 3)
        assert poller.state().refused == 2
        await ended(running)

    in_loop(steps)
    assert {item.shape.source for item in sink.of("it")} == {Source.PROBE}
    assert (device.requests, web.asked) == (0, [])
    assert asked == {(source, "127.0.0.1") for source in (Source.SNMP, Source.ISAPI, Source.PROBE)}


def settled(folder: Path, web: WebDevice, *scopes: Source) -> None:
    private, public = consents.new_key()
    (folder / "agent").mkdir()
    (folder / "password").write_text(f"{PASSWORD}\n")
    write_consent(folder / "agent" / "consent.json", signed(private, scopes=list(scopes)))
    (folder / "agent.yaml").write_text(
        f"site: {SITE}\nagent: {AGENT}\nshard: 7\nsecret: '{SECRET}'\nbroker: {{host: 127.0.0.1}}\n"
        f"trusted_keys: ['{public}']\nhost: {{enabled: false}}\ndevices:\n"
        f"  - {{name: nvr, address: 127.0.0.1, use_snmp: false, isapi: {{user: {USER}, password_file: password, "
        f"port: {web.port}}}, probes: [{{tcp: {web.port}}}]}}\n"
    )


def test_poll_prints_the_records_of_every_source_and_says_what_the_consent_leaves_out(
    web, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    settled(tmp_path, web, Source.ISAPI)
    assert main(["poll", "nvr"]) == 0
    told = capsys.readouterr()
    assert "127.0.0.1 is not polled by probe: scope not granted" in told.err
    assert '"source": "isapi"' in told.out
    assert '"source": "probe"' not in told.out
    assert PASSWORD not in told.out
    first = json.loads(told.out[: told.out.index("\n}\n") + 2])
    assert first["records"][0]["device"] == "nvr"
    assert main(["match", "nvr"]) == 1
    assert "nvr has no SNMP, as the settings say" in capsys.readouterr().err


def test_the_doctor_reads_such_devices_and_names_a_refused_password(web, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settled(tmp_path, web, Source.ISAPI)
    main(["doctor"])
    told = capsys.readouterr().out
    assert "hikvision.isapi" in told
    assert "does not grant `probe`: 1 devices are not polled" in " ".join(told.split())
    web.password = "another"
    main(["doctor"])
    told = " ".join(capsys.readouterr().out.split())
    assert f"isapi: credentials refused for user `{USER}`" in told
    assert "correct user and password of `isapi`; a wrong one locks accounts" in told


def test_commands_say_a_refused_password_no_more_often_than_the_agent_does(web, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settled(tmp_path, web, Source.ISAPI)
    web.password = "another"
    for words in (["poll", "nvr"], ["doctor"], ["poll", "nvr"]):
        main(words)
        assert web.refused() == 1, words
    assert "asked again in 30 min" in capsys.readouterr().out
    assert Memory(tmp_path / "agent", ["nvr"]).devices["nvr"].refusals.each, "nor does the agent, once it starts"
    (tmp_path / "password").write_text("a third\n")
    assert main(["poll", "nvr"]) == 1
    assert web.refused() == 2, "a changed one is tried at once"


def rows(profile: str, source: Source, at: int, *fields: str) -> Rows:
    shape = Shape(DeviceKind.RECORDER, profile, source, [TableShape("device", [""], list(fields))])
    one = np.array([at], np.int64)
    who = [Series(SITE, AGENT, "nvr")]
    return Rows(shape, who, one, one, one, one * 0, np.array([False]), np.zeros((1, len(fields))))


def test_the_register_takes_kind_and_profile_of_the_source_that_leads_however_they_come():
    beside = rows("hikvision.isapi", Source.ISAPI, 1, "clock_offset_seconds")
    leading = rows("hikvision.recorder", Source.SNMP, 2, "up")
    later = rows("hikvision.isapi", Source.ISAPI, 3, "clock_offset_seconds")
    for cut in ([[beside, leading, later]], [[beside], [leading], [later]], [[beside, leading], [later]]):
        devices = Devices()
        profiles = []
        for part in cut:
            changes = devices.changes([Batch(0, 3, part)])
            devices.settle(changes)
            profiles += [change.description.profile for change in changes.values() if change.description is not None]
        assert profiles[-1] == "hikvision.recorder", cut
    alone = Devices().changes([Batch(0, 3, [rows("onvif", Source.ONVIF, 1, "up")])])
    assert [change.description.profile for change in alone.values() if change.description is not None] == ["onvif"]
