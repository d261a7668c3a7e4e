"""An MQTT broker for a demonstration, in a process of its own: amqtt on a loopback port, with passwords and topics.

Each agent may publish and hear only what is its own, as the broker of a real installation would have it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pwdlib.hashers.argon2 import Argon2Hasher

_PLUGINS = "amqtt.plugins"


def configuration(port: int, passwords: Path, agent: str, collector: str) -> dict[str, Any]:
    """What `main` takes as a file.

    Args:
        port: on 127.0.0.1.
        passwords: the file that `write_passwords` wrote.
        agent: the one agent, which is also its user name.
        collector: the collector's user name.
    """
    publish = {agent: [f"fw/1/t/+/{agent}", f"fw/1/p/{agent}"], collector: ["#"]}
    hear = {agent: [f"fw/1/{kind}/{agent}" for kind in "kgc"], collector: ["#"]}
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {
            f"{_PLUGINS}.authentication.FileAuthPlugin": {"password_file": str(passwords)},
            f"{_PLUGINS}.topic_checking.TopicAccessControlListPlugin": {"publish_acl": publish, "acl": hear},
        },
    }


def write_passwords(path: Path, users: dict[str, str]) -> None:
    """Writes user names with the hashes of their passwords, for nobody else to read.

    The passwords are 256 random bits, so the lightest hash is as good as a heavy one, and the broker starts at once.
    """
    hasher = Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1)
    path.touch(mode=0o600)
    path.write_text("".join(f"{user}:{hasher.hash(password)}\n" for user, password in users.items()), encoding="utf-8")


async def _serve(configured: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    from amqtt.broker import Broker  # Here, because the demo itself needs the rest of this module only.

    broker = Broker(configured, loop=loop)
    await broker.start()
    await stop.wait()
    await broker.shutdown()


def main(words: Sequence[str]) -> int:
    """Runs a broker from a configuration file (JSON) until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.run(_serve(json.loads(Path(words[0]).read_text(encoding="utf-8"))))
    return 0
