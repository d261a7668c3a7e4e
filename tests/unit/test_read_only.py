"""The agent cannot write to a device: there is no SNMP SET in its code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import agent
from agent.snmp import session

ROOT = Path(agent.__file__).parent
SETTERS = re.compile(r"(?i)set_?cmd|send_set|recv_set|set_?request|SetRequestPDU|(?<![a-z_])snmp_?set|\b0xA3\b")
CLIENT = {f"{way}_get_{what}" for way in ("send", "recv") for what in ("many", "bulk", "next")}
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


def test_the_protocols_have_no_verb_that_writes():
    for protocol in (session.Exchange, session.Session, session.Walk):
        verbs = {name for name in vars(protocol) if not name.startswith("_")}
        assert verbs <= {"get", "walk", "close", "narrow", "get_many", "rows", "has", "step"}
