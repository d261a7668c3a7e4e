"""Answers to challenges of HTTP and RTSP, against the examples of RFC 7616 and RFC 2617."""

from __future__ import annotations

import hashlib
import re

import pytest

from agent.settings.login import Password
from agent.web import digest
from agent.web.digest import Answering, NoAnswer, chosen

MUFASA = Password("Mufasa", "Circle of Life")
SHA = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
MD5 = SHA.replace("SHA-256", "MD5")


def part(header: str, name: str) -> str:
    found = re.search(rf'{name}="?([^",]+)', header)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("challenge", "response"),
    [
        (SHA, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        (MD5, "8ca523f5e9506fed4657c9700eebdbec"),
    ],
)
def test_the_examples_of_the_rfc_are_answered_as_it_says(monkeypatch, challenge, response):
    monkeypatch.setattr(digest.secrets, "token_hex", lambda _: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    header = Answering(chosen([challenge]), MUFASA).header("GET", "/dir/index.html")
    assert part(header, "response") == response
    assert part(header, "nc") == "00000001"


def test_a_device_of_the_old_rfc_without_qop_is_answered_its_way():
    realm = "testrealm" + "@host.com"
    challenge = f'Digest realm="{realm}", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    header = Answering(chosen([challenge]), Password("Mufasa", "Circle Of Life")).header("GET", "/dir/index.html")
    assert part(header, "response") == "670fd8c2df070c60b045671b8b24ff02"
    assert "nc=" not in header


def test_the_strongest_is_chosen_wherever_it_stands():
    assert chosen([MD5, SHA]).parameters["algorithm"] == "SHA-256"
    both = chosen(['Basic realm="a", ' + MD5])
    assert (both.scheme, both.parameters["algorithm"]) == ("digest", "MD5")


def test_basic_is_answered_only_where_it_is_allowed():
    with pytest.raises(NoAnswer, match="it offers Basic, and we say a password by Digest alone"):
        chosen(['Basic realm="a"'])
    header = Answering(chosen(['Basic realm="a"'], basic=True), Password("a", "b")).header("GET", "/")
    assert header == "Basic YTpi"


@pytest.mark.parametrize("header", ["", "Digest", 'Digest realm="a"', 'Digest realm="a", nonce="b", algorithm=SHA-9'])
def test_what_cannot_be_answered_is_not(header):
    with pytest.raises(NoAnswer):
        chosen([header])


def test_names_beyond_ascii_are_said_in_utf_8_and_a_realm_comes_back_as_it_came(monkeypatch):
    monkeypatch.setattr(digest.secrets, "token_hex", lambda _: "c")
    realm = "海康".encode("gbk")
    challenge = chosen(['Digest realm="' + realm.decode("latin-1") + '", nonce="n", qop="auth"'])
    header = Answering(challenge, Password("张", "秘密")).header("GET", "/").encode("latin-1")
    assert 'username="张"'.encode() in header
    assert b'realm="' + realm + b'"' in header
    one = hashlib.md5("张:".encode() + realm + ":秘密".encode()).hexdigest()
    two = hashlib.md5(b"GET:/").hexdigest()
    response = hashlib.md5(f"{one}:n:00000001:c:auth:{two}".encode()).hexdigest()
    assert response.encode() in header
