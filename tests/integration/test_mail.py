"""Notices by mail, against a real mail server with STARTTLS and login."""

from __future__ import annotations

import ssl
import subprocess

import msgspec
import pytest

from collector.notify.notifier import NotifyError
from forewarn.settings import Secret
from tests.contract.test_notifiers import NOTICE, smtp_at
from tests.receivers import knows, mailbox
from tests.servers import program


def test_a_mail_reads_well_and_belongs_to_its_ticket():
    with mailbox() as box:
        smtp_at(box.port, to=["duty@example.com", "boss@example.com"]).send(NOTICE)
    (mail,) = box.mails
    assert mail["Subject"] == "[严重 critical] 新工单 New ticket: nvr1 的 /data 约 41 小时后写满"
    assert mail["From"] == "forewarn@example.com"
    assert mail["To"] == "duty@example.com, boss@example.com"
    assert mail["Message-ID"] == f"<{NOTICE.id}@example.com>"
    assert mail["References"] == f"<ticket.{NOTICE.ticket}@example.com>"
    assert mail.get_content().split("\n\n\u2014\n\n") == [NOTICE.body["zh"], NOTICE.body["en"] + "\n"]
    assert box.recipients == [["duty@example.com", "boss@example.com"]]


def test_a_title_cannot_add_a_header():
    evil = msgspec.structs.replace(NOTICE, title={"zh": "a\r\nBcc: thief@example.com\x00"})
    with mailbox() as box:
        smtp_at(box.port).send(evil)
    (mail,) = box.mails
    assert mail["Bcc"] is None
    assert mail["Subject"].endswith("a Bcc: thief@example.com")
    assert box.recipients == [["duty@example.com"]]


def test_one_bad_recipient_does_not_keep_the_mail_from_the_others():
    with mailbox() as box:
        box.unknown["gone@example.com"] = "550 no such user"
        smtp_at(box.port, to=["gone@example.com", "duty@example.com"]).send(NOTICE)
        assert box.recipients == [["duty@example.com"]]


@pytest.mark.parametrize(("answer", "permanent"), [("550 no such user", True), ("450 greylisted", False)])
def test_when_every_recipient_is_refused_the_answer_is_named(answer, permanent):
    with mailbox() as box:
        box.unknown["duty@example.com"] = answer
        with pytest.raises(NotifyError, match=f"every recipient was refused: duty@example.com: {answer}") as refused:
            smtp_at(box.port).send(NOTICE)
    assert refused.value.permanent is permanent


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    key, made = folder / "key.pem", folder / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"]
    make = [
        program("openssl", "openssl"),
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    subprocess.run([*make, "-keyout", key, "-out", made, *subject], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made, key)
    return server, made


def test_starttls_and_login(certificate):
    context, authority = certificate
    options = {
        "tls_context": context,
        "require_starttls": True,
        "authenticator": knows("u", "p"),
        "auth_required": True,
    }
    with mailbox(**options) as box:
        secure = {"security": "starttls", "ca_file": authority, "user": "u"}
        smtp_at(box.port, password=Secret("p"), **secure).send(NOTICE)
        assert len(box.mails) == 1
        with pytest.raises(NotifyError, match="535") as refused:
            smtp_at(box.port, password=Secret("wrong"), **secure).send(NOTICE)
        assert not refused.value.permanent
        assert "wrong" not in str(refused.value)
        with pytest.raises(NotifyError, match="certificate verify failed"):
            smtp_at(box.port, **{**secure, "ca_file": None}).send(NOTICE)


def test_a_server_without_starttls_gets_no_password():
    with mailbox() as box, pytest.raises(NotifyError, match="STARTTLS extension not supported") as refused:
        smtp_at(box.port, security="starttls", user="u", password=Secret("p")).send(NOTICE)
    assert not refused.value.permanent
    assert box.mails == []
