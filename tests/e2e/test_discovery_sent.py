"""What looking for devices sends, taken off the wire in a network of its own: nothing but what the customer allows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from agent.onvif.announcement import GROUP
from forewarn.vocabulary import Source
from tests import servers
from tests.captured import SPEAKS
from tests.e2e.collector_run import ROOT
from tests.integration.test_discovery import CREDENTIALS, settled

WORLD = ["unshare", "--user", "--map-root-user", "--net"]
ICMP, TCP, UDP = 1, 6, 17
MULTICAST = "discovery: {multicast: true}\n"
RATE, STANDSTILL = 8, 0.7
LOOKS = (Source.DISCOVERY, Source.ONVIF)


FEW = ["--network", "10.99.0.0/29", "--run", "--rate", "100"]
WIDE = ["--network", "10.99.0.0/27", "--network", "8.8.8.8/32"]
SITES: dict[str, tuple[tuple[Source, ...], str, str, list[str]]] = {
    "dry": ((*LOOKS, Source.SNMP, Source.PROBE), "10.99.0.0/28", CREDENTIALS + MULTICAST, WIDE),
    "run": ((*LOOKS, Source.SNMP, Source.PROBE), "10.99.0.0/28", CREDENTIALS, [*WIDE, "--run", "--rate", str(RATE)]),
    "snmp": ((Source.DISCOVERY, Source.SNMP), "10.99.0.0/29", CREDENTIALS, FEW),
    "part": (LOOKS, "10.99.0.0/25", MULTICAST, FEW),
    "unset": (LOOKS, "10.99.0.0/24", "", FEW),
    "whole": (LOOKS, "10.99.0.0/24", MULTICAST, FEW),
}
"""By name: scopes and network of the consent, settings, what is typed."""


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each command sent and told, one after the other in one network."""
    servers.program("ip", "iproute2")
    if subprocess.run([*WORLD, "test", "-c", "/dev/net/tun"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespaces here")
    home = tmp_path_factory.mktemp("sent")
    commands = []
    for name, (scopes, network, more, words) in SITES.items():
        (home / name).mkdir()
        settled(home / name, scopes=scopes, networks=(network,), more=more)
        commands.append([str(home / name), ["discover", *words]])
    (home / "commands").write_text(json.dumps(commands))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": servers.PATHS}
    command = [*WORLD, sys.executable, "-m", "tests.captured", str(home / "commands")]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(SITES, json.loads((home / "commands.sent").read_text()), strict=True))


def asked(one: dict[str, Any]) -> set[str]:
    return {to for _, to, *_ in one["sent"]}


def test_nothing_is_sent_before_run(sent: dict[str, Any]) -> None:
    assert (sent["dry"]["code"], sent["dry"]["sent"]) == (0, [])
    assert "14 addresses to ask" in sent["dry"]["told"]
    assert "Nothing was sent." in sent["dry"]["told"]


def test_only_addresses_of_the_consent_are_asked_and_only_what_was_announced(sent: dict[str, Any]) -> None:
    run = sent["run"]
    # 10.99.0.1 is this machine: what is sent to it does not leave.
    assert asked(run) == {f"10.99.0.{host}" for host in range(2, 15)}
    ways = {(protocol, port) for _, _, protocol, port, _ in run["sent"]}
    assert ways == {(ICMP, 0), (UDP, 3702), *((TCP, port) for port in (554, 80, 443, 8000, 37777))}
    each = Counter((to, port) for _, to, protocol, port, _ in run["sent"] if protocol == UDP)
    assert set(each.values()) == {2}


def test_addresses_are_asked_no_faster_than_was_said(sent: dict[str, Any]) -> None:
    run = sent["run"]
    first: dict[str, float] = {}
    for at, to, *_ in run["sent"]:
        first.setdefault(to, at)
    # Of all 14 one is the machine itself, which is not seen. A machine that stood still while the first was asked makes up
    # for it afterwards: so much is left open.
    assert max(first.values()) - min(first.values()) >= (len(first) - 1) / RATE - STANDSTILL


def test_without_probes_each_is_asked_over_snmp_once_with_each_credential(sent: dict[str, Any]) -> None:
    found = Counter((to, protocol, port) for _, to, protocol, port, _ in sent["snmp"]["sent"])
    assert found == {(f"10.99.0.{host}", UDP, 161): 2 for host in range(2, 7)}


def test_a_link_is_asked_by_multicast_only_where_the_settings_say_so_and_all_of_it_is_allowed(
    sent: dict[str, Any],
) -> None:
    groups = {
        name: [(port, left) for _, to, _, port, left in sent[name]["sent"] if to == GROUP]
        for name in ("part", "unset", "whole")
    }
    assert groups == {"part": [], "unset": [], "whole": [(3702, 1)] * 2}, "two datagrams that no router passes on"
    for name in groups:
        assert asked(sent[name]) - {GROUP} == {f"10.99.0.{host}" for host in range(2, 7)}
    row = next(line for line in sent["whole"]["told"].splitlines() if line.startswith(SPEAKS))
    assert "Gate camera" in row
