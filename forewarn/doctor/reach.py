"""Whether a server can be reached, step by step: its name, its port, its certificate. Nothing is said to it.

Errors:
    Unreached   the step that failed, in a sentence, and what to do about it
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import NamedTuple

from forewarn.doctor.diagnosis import Diagnosis, ok, span, warn

WITHIN = 5.0
SOON = 30
"""Days before its end from which on a certificate or a consent is named."""
_DAY = 86400.0
_EXPIRED, _NOT_YET = 10, 9
_NAMES = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL (x509_vfy.h)."""


class Unreached(Exception):
    """A step that failed; `remedy` says what to do."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why)
        self.remedy = remedy


class Reached(NamedTuple):
    """A server that answered. `ends` is when its certificate ends (Unix seconds), None without TLS."""

    address: str
    ends: float | None


def reach(host: str, port: int, *, key: str, context: ssl.SSLContext | None = None) -> Reached:
    """Resolves a name, connects, and with a context shakes hands; hangs up then.

    Args:
        host: name or address.
        port: TCP port.
        key: the section of the settings that names it, for the remedy.
        context: how TLS is spoken; None: not at all.

    Raises:
        Unreached: see above.
    """
    with contextlib.closing(_connected(host, port, key)) as plain:
        address = f"{host}:{port}"
        if context is None:
            return Reached(address, None)
        try:
            with context.wrap_socket(plain, server_hostname=host) as secured:
                found = secured.getpeercert() or {}
        except ssl.SSLCertVerificationError as wrong:
            raise _unverified(wrong, address, key) from wrong
        except OSError as wrong:
            why = f"{address} does not shake hands for TLS ({getattr(wrong, 'reason', None) or wrong})"
            raise Unreached(why, f"take the port it speaks TLS at for `{key}.port`, or speak no TLS to it") from wrong
    ends = found.get("notAfter")
    return Reached(address, ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else None)


def _connected(host: str, port: int, key: str) -> socket.socket:
    try:
        return socket.create_connection((host, port), WITHIN)
    except socket.gaierror as wrong:
        remedy = f"correct `{key}.host`, or this machine's DNS: `getent hosts {host}` shows what it knows"
        raise Unreached(f"this machine knows no address of `{host}` ({wrong.strerror})", remedy) from wrong
    except TimeoutError as wrong:
        why = f"{host}:{port} does not answer within {WITHIN:.0f} s"
        raise Unreached(why, "see that the machine is on, and that no firewall between drops the port") from wrong
    except ConnectionRefusedError as wrong:
        remedy = f"start it there, or correct `{key}.port`"
        raise Unreached(f"nothing listens at {host}:{port}", remedy) from wrong
    except OSError as wrong:
        raise Unreached(f"{host}:{port} is not reached ({wrong.strerror or wrong})", "see to the network") from wrong


def _unverified(wrong: ssl.SSLCertVerificationError, address: str, key: str) -> Unreached:
    why = f"the certificate of {address} is not accepted ({wrong.verify_message})"
    if wrong.verify_code == _EXPIRED:
        return Unreached(why, "renew it on the server; if it is fresh there, set this machine's clock")
    if wrong.verify_code == _NOT_YET:
        return Unreached(why, "set this machine's clock")
    if wrong.verify_code in _NAMES:
        return Unreached(why, f"call it in `{key}.host` by a name that is in its certificate")
    return Unreached(why, f"{_TRUST.get(key, _TRUST_BROKER)}: the file of the authority that signed it")


_TRUST_BROKER = "set `broker.tls.ca`"
_TRUST = {
    "notices.smtp": "set `notices.smtp.ca_file`",
    "notices.webhook": "add to those this system trusts (`update-ca-certificates`)",
}


def speaks_tls(host: str, port: int) -> bool:
    """Whether a port that does not answer in the clear answers to TLS, whoever it may be."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), WITHIN) as plain, context.wrap_socket(plain):
            return True
    except OSError:
        return False


def certificate(subject: str, ends: float) -> Diagnosis:
    """How long a certificate that was accepted still lasts."""
    left = ends - time.time()
    day = time.strftime("%Y-%m-%d", time.gmtime(ends))
    if left < SOON * _DAY:
        return warn(subject, f"its certificate ends in {span(left)}, on {day}", "renew it on the server before then")
    return ok(subject, f"its certificate is accepted and lasts until {day}")
