"""What a Mosquitto needs to serve this collector: passwords, the access list, a configuration to begin from.

Each agent may publish on its own topics and read its own acknowledgements, by pattern, so that a new agent changes the
password file alone. Passwords are derived from the agents' secrets; what is written here is their PBKDF2-SHA512.
Files are replaced whole, and are the same again when nothing changed; Mosquitto reads them again on SIGHUP.

Mosquitto started by root gives root up before it reads them, and becomes the user `mosquitto`. So files that root
writes are given to that user's group; where it cannot come to them at all (a folder in root's home), the configuration
tells it to stay root, and says why.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from forewarn.signals import derive

_ITERATIONS = 101
"""Mosquitto's own number. The passwords are 256 random bits: there is nothing to guess, however fast one tries."""
_SALT = 12

_ACL = """\
# Which topics a user may use. %u is the user name, which is the agent's id. Other files may be appended.
pattern write fw/1/t/+/%u
pattern write fw/1/p/%u
pattern read fw/1/k/%u
pattern read fw/1/g/%u
pattern read fw/1/c/%u

user {user}
topic read fw/1/t/#
topic read fw/1/p/#
topic write fw/1/k/#
topic write fw/1/g/#
topic write fw/1/c/#
"""

_CONFIG = """\
# A Mosquitto for forewarn. Nothing depends on it keeping a message: what it loses is sent again.
per_listener_settings false
listener 1883 127.0.0.1
# For agents outside this machine, with certificates of your own:
# listener 8883
# cafile /etc/mosquitto/certs/ca.crt
# certfile /etc/mosquitto/certs/server.crt
# keyfile /etc/mosquitto/certs/server.key

allow_anonymous false
password_file {passwords}
acl_file {acl}
# A client is known by its user name: else any agent could push another off by taking its client id.
use_username_as_clientid true

# A block has at most 64 KiB. How many the collector may have in hand, and how many wait for it:
max_packet_size 262144
max_inflight_messages 200
max_queued_messages 20000
max_queued_bytes 268435456
persistence false
"""


_AS_ROOT = """\
# Written by root where Mosquitto's own user cannot read: with this line it stays root when root starts it. Better:
# forewarn collector broker-files /etc/mosquitto/forewarn, and away with it.
user root
"""
_READER = "mosquitto"
"""The user that Mosquitto becomes, and its group."""


class BrokerFiles(NamedTuple):
    """Where the files were written. `password` holds the collector's own password in its first line."""

    passwords: Path
    acl: Path
    config: Path
    password: Path
    user: str


def write(folder: Path, agents: Mapping[str, str], *, user: str) -> BrokerFiles:
    """Writes `passwords`, `acl`, `mosquitto.conf` and `collector.password` into `folder`.

    Args:
        folder: made when missing. `collector.password` is kept when it is there, made when it is not; an existing
            `mosquitto.conf` is a person's by now and is not touched.
        agents: secret by agent id.
        user: the collector's own user name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    passwords, acl, config, password = (
        folder / name for name in ("passwords", "acl", "mosquitto.conf", "collector.password")
    )
    files = BrokerFiles(passwords, acl, config, password, user)
    if not files.password.exists():
        _replace(files.password, secrets.token_urlsafe(32) + "\n", 0o600)
    own = files.password.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    lines = [hashed(user, own), *_agent_lines(agents.items())]
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    group = _group(_READER) if as_root else None
    _replace(files.passwords, "\n".join(lines) + "\n", 0o640, group=group)
    _replace(files.acl, _ACL.format(user=user), 0o640, group=group)
    if not files.config.exists():
        text = _CONFIG.format(passwords=files.passwords.absolute(), acl=files.acl.absolute())
        unread = as_root and (group is None or not _open_to_all(folder.absolute()))
        _replace(files.config, text + _AS_ROOT if unread else text, 0o644)
    return files


def _agent_lines(agents: Iterable[tuple[str, str]]) -> list[str]:
    return [hashed(agent, derive(secret, "mqtt")) for agent, secret in sorted(agents)]


def hashed(user: str, password: str) -> str:
    """A line of Mosquitto's password file: `user:$7$iterations$salt$hash`, PBKDF2-SHA512 of 64 bytes.

    The salt is derived from the password, so that writing the file again changes nothing.
    """
    salt = hashlib.sha256(f"{user}:{derive(password, 'salt')}".encode()).digest()[:_SALT]
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS, 64)
    return f"{user}:$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def _group(name: str) -> int | None:
    import grp  # Not on Windows, where nobody is root.

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def _open_to_all(folder: Path) -> bool:
    """Whether anybody can come to this folder."""
    return all(place.stat().st_mode & 0o001 for place in (folder, *folder.parents))


def _replace(path: Path, text: str, mode: int, *, group: int | None = None) -> None:
    """Writes a file so that a reader finds the old or the new one, never half of one."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        if group is not None:
            os.fchown(file.fileno(), -1, group)
        os.fsync(file.fileno())
    new.replace(path)
