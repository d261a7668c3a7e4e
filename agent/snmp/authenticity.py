"""Whether an SNMP v3 message comes unchanged from an engine that knows our key (RFC 3414 section 6, RFC 7860).

Of a user with a key for authentication each message bears a digest: an HMAC over the whole message, made with the
octets of the digest itself as zeroes, and cut. The key is the user's made good for one engine alone: who learned it from
another device cannot speak for this one.

Errors: none; what cannot be read does not fit.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from agent.snmp.level import opened, passed, secured

ALGORITHMS = {
    "md5": ("md5", 12),
    "sha": ("sha1", 12),
    "sha224": ("sha224", 16),
    "sha256": ("sha256", 24),
    "sha384": ("sha384", 32),
    "sha512": ("sha512", 48),
}
"""Name in the settings → hash function, and octets of the digest (RFC 3414 sections 6 and 7, RFC 7860 section 4.1)."""


@lru_cache(1024)
def localised(authentication: str, master: bytes, engine: bytes) -> bytes:
    """The key of one engine, from the key of a pass phrase (RFC 3414 section 2.6)."""
    return hashlib.new(ALGORITHMS[authentication][0], master + engine + master).digest()


def digest(message: bytes, authentication: str, key: bytes) -> bytes:
    """The digest of a message in which zeroes stand for it."""
    name, length = ALGORITHMS[authentication]
    return hmac.digest(key, message, name)[:length]


def fits(message: bytes, authentication: str, key: bytes, engine: bytes) -> bool:
    """Whether a message names the engine and bears the right digest; compared in constant time.

    Args:
        message: the whole datagram.
        authentication: one of `ALGORITHMS`.
        key: as `localised` for the engine.
        engine: its id, as it was met; another one's messages do not fit, even where their digest is right.
    """
    try:
        named, begin, end = _placed(message)
    except IndexError:
        return False
    if named != engine or end - begin != ALGORITHMS[authentication][1]:
        return False
    zeroed = message[:begin] + bytes(end - begin) + message[end:]
    return hmac.compare_digest(message[begin:end], digest(zeroed, authentication, key))


def _placed(message: bytes) -> tuple[bytes, int, int]:
    """The engine's id, and where the octets of msgAuthenticationParameters begin and end."""
    at, _ = opened(message, secured(message))
    at, _ = opened(message, at)
    begin, end = opened(message, at)
    for _ in range(4):  # The id, boots, time, user.
        at = passed(message, at)
    return message[begin:end], *opened(message, at)
