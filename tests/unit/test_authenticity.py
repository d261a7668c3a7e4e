"""Digests of SNMP v3 against the examples of RFC 3414, 2202 and 4231."""

from __future__ import annotations

import pytest

from agent.snmp.authenticity import ALGORITHMS, digest, fits, localised
from agent.snmp.gufo import _master
from tests import usm

ENGINE = bytes(11) + b"\2"
HMACS = {
    "md5": (16, "9294727a3638bb1c13f48ef8158bfc9d"),
    "sha": (20, "b617318655057264e28bc0b6fb378c8ef146be00"),
    "sha224": (20, "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22"),
    "sha256": (20, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    "sha384": (
        20,
        "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
    ),
    "sha512": (
        20,
        (
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
            "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"
        ),
    ),
}
"""First example of RFC 2202 and RFC 4231: octets of the key, HMAC."""
ASKED = usm.Asked(b"\1", b"u", b"\1", usm.SYS_UPTIME, "sha256", b"authpass1")


def mine(engine: bytes = usm.ENGINE, phrase: str = "authpass1") -> bytes:
    return localised("sha256", _master("sha256", phrase), engine)


@pytest.mark.parametrize(
    ("authentication", "user", "engine"),
    [
        ("md5", "9faf3283884e92834ebc9847d8edd963", "526f5eed9fcce26f8964c2930787d82b"),
        ("sha", "9fb5cc0381497b3793528939ff788d5d79145211", "6695febc9288e36282235fc7151f128497b38f3f"),
    ],
)
def test_the_key_of_an_engine_is_that_of_rfc_3414_a_3(authentication, user, engine):
    master = _master(authentication, "maplesyrup")
    assert master.hex() == user
    assert localised(authentication, master, ENGINE).hex() == engine


@pytest.mark.parametrize(("authentication", "name"), [(f"sha{bits}", f"sha{bits}") for bits in (224, 256, 384, 512)])
def test_the_key_of_an_engine_is_made_alike_with_sha_2(authentication, name):
    master = _master(authentication, "maplesyrup")
    assert localised(authentication, master, ENGINE) == usm.key(name, b"maplesyrup", ENGINE)


@pytest.mark.parametrize("authentication", sorted(ALGORITHMS))
def test_a_digest_is_the_hmac_cut_as_rfc_3414_and_7860_cut_it(authentication):
    octets, whole = HMACS[authentication]
    cut = {"md5": 12, "sha": 12, "sha224": 16, "sha256": 24, "sha384": 32, "sha512": 48}[authentication]
    assert digest(b"Hi There", authentication, b"\x0b" * octets).hex() == whole[: 2 * cut]


def test_an_honest_message_fits():
    assert fits(ASKED.signed(), "sha256", mine(), usm.ENGINE)


@pytest.mark.parametrize("at", range(len(ASKED.signed())))
def test_no_octet_may_be_another(at):
    message = bytearray(ASKED.signed())
    message[at] ^= 1
    assert not fits(bytes(message), "sha256", mine(), usm.ENGINE)


@pytest.mark.parametrize("forgery", sorted(usm.FORGERIES))
def test_no_forgery_fits(forgery):
    assert not any(fits(each, "sha256", mine(), usm.ENGINE) for each in usm.FORGERIES[forgery](ASKED))


def test_another_engine_s_message_does_not_fit_even_where_its_key_is_right():
    assert fits(ASKED.signed(usm.OTHER), "sha256", mine(usm.OTHER), usm.OTHER)
    assert not fits(ASKED.signed(usm.OTHER), "sha256", mine(usm.OTHER), usm.ENGINE)


def test_what_ends_too_early_does_not_fit():
    whole = ASKED.signed()
    assert not any(fits(whole[:length], "sha256", mine(), usm.ENGINE) for length in range(len(whole)))
