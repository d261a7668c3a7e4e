"""What a person reads when a probe or a device's sources are written wrong; who leads."""

from __future__ import annotations

import pytest

from agent.devices.visited import sources
from agent.settings import Settings
from forewarn.settings import SettingError, read

LEAST = "site: s\nagent: a\nshard: 0\nsecret: x\nbroker: {host: b}\ndevices:\n"


def given(device: str) -> Settings:
    return read(Settings, f"{LEAST}  - {{name: it, address: 127.0.0.1, {device}}}\n", "agent.yaml")


def test_every_kind_of_probe_is_written_in_a_line_and_named_after_what_it_asks():
    settings = given(
        "probes: [{icmp: true}, {tcp: 554}, {http: /}, {http: /login, tls: true, port: 8443}, "
        "{rtsp: /Streaming/Channels/101, user: u, password_file: p}, {ntp: true}, {tcp: 8000, name: service port}]"
    )
    labels = [probe.label for probe in settings.devices[0].probes]
    assert labels == [
        *("icmp", "tcp 554", "http /", "https 8443 /login", "rtsp /Streaming/Channels/101", "ntp", "service port")
    ]
    assert [probe.at_port for probe in settings.devices[0].probes] == [0, 554, 80, 8443, 554, 123, 8000]


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ("probes: [{tpc: 554}]", "7:46: unknown key `tpc`; did you mean `tcp`?"),
        ("probes: [{name: x}]", "7:45: a probe is one of `icmp`, `tcp`, `http`, `rtsp`, `ntp`"),
        ("probes: [{tcp: 1, icmp: true}]", "a probe is one of `icmp`"),
        ("probes: [{tcp: 70000}]", "`tcp` is at most 65535"),
        ("probes: [{tcp: 554, tls: true}]", "`tls` is for `http`, not `tcp`"),
        ("probes: [{http: login}]", "`http` is a path that begins with `/`"),
        ("probes: [{http: /, ca: x}]", "`ca` is for HTTPS: `tls: true` is missing"),
        ("probes: [{rtsp: /, user: u}]", "`user` and `password_file` belong together"),
        ("probes: [{tcp: 554}, {tcp: 554}]", "two probes are called `tcp 554`: give one of them a `name`"),
        ("use_snmp: false", "without SNMP it needs `probes`, `isapi` or `onvif`"),
        ("use_snmp: false, profile: generic, probes: [{icmp: true}]", "`profile` is for SNMP, and `use_snmp` is false"),
        ("isapi: {user: u}", "its password is missing: give `password_file` or `password`"),
        ("isapi: {user: u, password: p, password_file: f}", "are both given, one is enough"),
        ("onvif: {user: u, password: p, ca: f}", "`ca` is for HTTPS: `tls: true` is missing"),
        ("isapi: {usr: u, password: p}", "unknown key `usr`; did you mean `user`?"),
        ("use_snmp: false, kind: camra, probes: [{icmp: true}]", "did you mean `camera`?"),
    ],
)
def test_a_mistake_has_its_place_and_says_what_to_write(device, says):
    with pytest.raises(SettingError) as refused:
        given(device)
    assert says in str(refused.value)
    assert "agent.yaml:7:" in str(refused.value)


def test_snmp_leads_then_isapi_then_onvif_then_probes():
    login = "{user: u, password: p}"
    every = given(f"probes: [{{icmp: true}}], onvif: {login}, isapi: {login}").devices[0]
    assert [str(source) for source in sources(every)] == ["snmp", "isapi", "onvif", "probe"]
    alone = given("use_snmp: false, probes: [{icmp: true}]").devices[0]
    assert [str(source) for source in sources(alone)] == ["probe"]
