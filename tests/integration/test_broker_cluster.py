"""A cluster that loses a node: both sides go on with another one of theirs, and no record is lost or comes twice."""

from __future__ import annotations

from pathlib import Path

from tests import brokers
from tests.delivering import Delivery


def test_a_cluster_that_loses_the_agent_s_node_takes_its_records_at_another(tmp_path: Path) -> None:
    with brokers.running("nats-cluster", tmp_path / "nats") as cluster:
        assert isinstance(cluster, brokers.Nats)
        first, second, third = cluster.ports
        delivery = Delivery(tmp_path, [first, second, third], [second, third])
        with delivery.going():
            delivery.moves()
            cluster.kill_node(0)
            delivery.moves()
            delivery.level()
    assert delivery.proven() > 400
