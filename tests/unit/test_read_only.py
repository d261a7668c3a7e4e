"""The agent cannot write to a device: there is no SNMP SET in its code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import agent
from agent.onvif import soap
from agent.snmp import session
from agent.web.client import Web

ROOT = Path(agent.__file__).parent
SETTERS = re.compile(r"(?i)set_?cmd|send_set|recv_set|set_?request|SetRequestPDU|(?<![a-z_])snmp_?set|\b0xA3\b")
CLIENT = {f"{way}_get_{what}" for way in ("send", "recv") for what in ("many", "bulk", "next")}
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "SETUP", "PLAY", "RECORD", "ANNOUNCE", "SET_PARAMETER")
CLIENT |= {"send_refresh", "recv_refresh"}  # SNMPv3 asks for the engine's time.


def test_no_file_of_the_agent_knows_a_set():
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in ROOT.rglob("*.py")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if SETTERS.search(line)
    ]
    assert not found


def test_the_adapter_uses_nothing_of_its_client_but_reading():
    tree = ast.parse((ROOT / "snmp" / "gufo.py").read_text(encoding="utf-8"))
    words = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    words += [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    used = {word for word in words if re.fullmatch(r"(send|recv)_\w+", word)}
    assert used == CLIENT


def test_over_http_there_is_get_and_only_onvif_posts_its_questions():
    posting, verbs = set(), set()
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "post":
                posting.add(str(file.relative_to(ROOT)))
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                verbs |= {(str(file.relative_to(ROOT)), word) for word in VERBS if node.value == word}
    assert posting == {"onvif/contact.py"}
    assert {word for _, word in verbs} == {"GET", "POST"}
    assert {file for file, word in verbs if word == "POST"} == {"web/client.py"}
    assert {name for name in vars(Web) if not name.startswith("_")} == {"close", "get", "glance", "post", "said"}


def test_what_is_asked_of_onvif_is_a_list_of_questions_that_only_read():
    assert set(soap.QUESTIONS) == {
        "GetSystemDateAndTime",
        "GetDeviceInformation",
        "GetNetworkInterfaces",
        "GetCapabilities",
        "GetProfiles",
    }
    with pytest.raises(KeyError):
        soap.envelope("SystemReboot", None, 0.0)


def test_the_protocols_have_no_verb_that_writes():
    for protocol in (session.Exchange, session.Session, session.Walk):
        verbs = {name for name in vars(protocol) if not name.startswith("_")}
        assert verbs <= {"get", "walk", "close", "narrow", "get_many", "rows", "has", "step"}
