"""The settings file a new agent starts with, as `add-agent` prints it: complete, with its secret, this once."""

from __future__ import annotations

import json

from collector.register import Enrolled
from forewarn.bus import Broker

_TEXT = """\
# Settings of a forewarn agent. The secret below is all it is known by: keep this file to the account it runs under
# (chmod 600). `forewarn agent sample-config` prints every key with its meaning.
site: {site}
agent: {agent}
secret: {secret}
shard: {shard}
folder: agent
broker:
  host: {host}
  port: {port}
{tls}# The public keys of the customer, whose consent counts (`forewarn agent consent sign` prints one).
trusted_keys: []
devices: []
"""


def agent_yaml(enrolled: Enrolled, broker: Broker) -> str:
    """The text of an agent.yaml.

    Args:
        enrolled: the agent as just registered.
        broker: the collector's own broker; the agent may have to reach it under another name.
    """
    tls = "" if broker.tls is None else "  tls: {}\n"
    if broker.tls is not None and broker.tls.ca is not None:
        tls = f"  # The authority behind the broker's certificate: bring the collector's {broker.tls.ca} along.\n"
        tls += f"  tls: {{ca: {json.dumps(broker.tls.ca.name)}}}\n"
    others = [{"host": node.host, "port": node.port} for node in broker.nodes()[1:]]
    if others:
        tls += f"  # Other nodes of the same cluster.\n  others: {json.dumps(others)}\n"
    return _TEXT.format(
        site=enrolled.site,
        agent=enrolled.agent,
        secret=enrolled.secret,
        shard=enrolled.shard,
        host=broker.host,
        port=broker.port,
        tls=tls,
    )
