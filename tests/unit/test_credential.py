"""SNMP credentials in the settings: named, own, or a plain community; refused with their place; never printed."""

from __future__ import annotations

import pytest

from agent.settings import Settings
from agent.settings.credential import Access
from forewarn.settings import SettingError, read

BASE = "site: s\nagent: a\nshard: 1\nsecret: x\nbroker: {host: h}\n"


def device(line: str, more: str = "") -> Settings:
    return read(Settings, f"{BASE}{more}devices:\n  - {{name: c, address: 10.0.0.1, {line}}}\n", "agent.yaml")


def test_a_community_is_enough_and_public_where_none_is_given():
    assert device("community: site").devices[0].access() == Access("2c", "site")
    assert device("port: 161").devices[0].access() == Access("2c", "public")
    assert device("community: site, snmp: {version: 1}").devices[0].access() == Access("1", "site")


def test_devices_share_a_credential_by_its_name(tmp_path):
    (tmp_path / "auth").write_text("authpass1\nanything else\n")
    shared = f"credentials: {{floor2: {{version: 3, user: u, auth_file: {tmp_path}/auth, privacy_key: privpass1}}}}\n"
    assert device("credential: floor2", shared).devices[0].access() == Access(
        "3",
        user="u",
        authentication="sha256",
        authentication_key="authpass1",
        privacy="aes128",
        privacy_key="privpass1",
    )
    (tmp_path / "auth").write_text("another-one\n")
    assert device("credential: floor2", shared).devices[0].access().authentication_key == "another-one"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("credential: flor2", "there is no credential `flor2`; did you mean `floor2`?"),
        ("credential: floor2, snmp: {version: 1}", "`credential` and `snmp` are both given"),
        ("snmp: {version: 3}", "`user` is missing"),
        ("snmp: {version: 3, user: u, auth: sha1}", "is none of .* did you mean `sha`"),
        ("snmp: {version: 3, user: u, auth: sha}", "`auth` needs its pass phrase: `auth_file` or `auth_key`"),
        ("snmp: {version: 3, user: u, privacy_key: privpass1}", "privacy without authentication"),
        ("snmp: {version: 3, user: u, community: x}", "version 3 knows users"),
        ("snmp: {version: 2c, user: u}", "`user` is for SNMP version 3, this is version 2c"),
        ("snmp: {version: 4}", "`4` is none of `1`, `2c`, `3`"),
        ("snmp: {version: 3, user: u, auth_key: authpass1, auth_file: f}", "are both given, one is enough"),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(line, what):
    with pytest.raises(SettingError, match=rf"agent\.yaml:9:\d+: .*{what}"):
        device(line, "credentials:\n  floor2: {version: 1}\n")


def test_a_pass_phrase_that_no_device_takes_is_named_without_being_told():
    short = device("snmp: {version: 3, user: u, auth_key: seven77}").devices[0]
    with pytest.raises(OSError, match="in the settings is shorter than 8 characters") as wrong:
        short.access()
    assert "seven77" not in str(wrong.value)


def test_no_secret_is_ever_printed():
    settings = device(
        "snmp: {version: 3, user: u, auth_key: authpass1, privacy_key: privpass1}, community: open-sesame"
    )
    shown = repr(settings) + repr(settings.devices[0].access()) + str(settings.devices[0].access())
    for secret in ("authpass1", "privpass1", "open-sesame"):
        assert secret not in shown
