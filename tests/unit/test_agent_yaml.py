"""The settings that `add-agent` prints are settings an agent reads, with every node of the collector's cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.settings import load
from collector.commands.enrolment import agent_yaml
from collector.register import Enrolled
from forewarn.bus import Broker, Node, Tls


@pytest.mark.parametrize("others", [[], [Node(host="n2"), Node(host="n3", port=8884)]])
def test_an_agent_gets_every_node_of_the_cluster(others: list[Node], tmp_path: Path) -> None:
    broker = Broker(host="n1", port=8883, others=others, tls=Tls(ca=tmp_path / "ca.crt"))
    file = tmp_path / "agent.yaml"
    file.touch(mode=0o600)
    file.write_text(agent_yaml(Enrolled("s1", "a1", 7, "00" * 32), broker))
    read = load(file, {}).broker
    assert [(node.host, node.port) for node in read.nodes()] == [("n1", 8883), ("n2", 8883), ("n3", 8884)][
        : len(others) + 1
    ]
    assert read.tls is not None
