"""What a person reads when agent.yaml says something that cannot be done."""

from __future__ import annotations

import re

import pytest

from agent.settings import ENVIRONMENT, Settings
from forewarn.sample import sample
from forewarn.settings import SettingError, read

LEAST = "site: s\nagent: a\nshard: 0\nbroker: {host: b}\n"


def given(text: str, **env: str) -> Settings:
    return read(Settings, LEAST + text, "agent.yaml", env=env, prefix=ENVIRONMENT)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "agent.yaml:1:1: `secret` or `secret_file` is missing: `forewarn collector add-agent` prints it"),
        ("secret: x\nsecret_file: y\n", "agent.yaml:6:14: `secret` and `secret_file` are both given, one is enough"),
    ],
)
def test_the_secret_is_given_once(text: str, says: str) -> None:
    with pytest.raises(SettingError) as refused:
        given(text)
    assert str(refused.value) == says


def test_the_environment_gives_any_key_and_that_of_a_collector_on_the_same_machine_is_left_alone() -> None:
    settings = given(
        "", FOREWARN_AGENT__SECRET="x", FOREWARN_AGENT__BROKER__PORT="99", FOREWARN_COLLECTOR__API__PORT="1"
    )
    assert (settings.revealed(), settings.broker.port) == ("x", 99)


def test_the_sample_is_read_back_as_printed_and_with_one_mark_taken_off_each_line() -> None:
    printed = read(Settings, sample(Settings), "sample")
    assert (printed.site, printed.devices) == ("s-1", [])
    plain = read(Settings, re.sub(r"^( *)# ", r"\1", sample(Settings), flags=re.MULTILINE), "sample")
    assert (plain.spool, plain.delivery, plain.host) == (printed.spool, printed.delivery, printed.host)
    assert [(device.name, device.interval) for device in plain.devices] == [("cam-gate-1", 60)]
