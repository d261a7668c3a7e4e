"""Notices by HTTP, against a real server: the signature, and what each answer means."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import msgspec
import pytest

from collector.notify.notifier import NotifyError
from collector.notify.webhook import WebhookNotifier, signature
from collector.settings import Webhook
from forewarn.settings import Secret
from tests.contract.test_notifiers import NOTICE, hook_at
from tests.findings import START
from tests.receivers import receiver


def test_the_signature_is_that_of_the_specification():
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    known = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == known


def test_a_receiver_can_prove_who_sent_what():
    with receiver() as there:
        hook_at(there.port, secret=Secret("correct horse")).send(NOTICE)
    ((headers, body),) = there.posts
    assert json.loads(body) == msgspec.to_builtins(NOTICE)
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == NOTICE.id
    assert headers["webhook-timestamp"] == str(START // 1000)
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    mac = hmac.new(b"correct horse", signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()


@pytest.mark.parametrize(
    ("status", "permanent"),
    [*((status, True) for status in (400, 410, 413)), *((s, False) for s in (401, 404, 408, 429, 500, 502, 503, 307))],
)
def test_each_answer_is_named_and_believed_or_tried_again(status, permanent):
    with receiver() as there:
        there.answers.append(status)
        with pytest.raises(NotifyError, match=f"http://127.0.0.1:{there.port}/hook.*answered {status}") as refused:
            hook_at(there.port).send(NOTICE)
        assert there.asked == 1
    assert refused.value.permanent is permanent


def test_silence_ends_at_the_timeout():
    with receiver() as there:
        there.answers.append(0.6)
        with pytest.raises(NotifyError, match="timed out") as refused:
            hook_at(there.port).send(NOTICE)
    assert not refused.value.permanent


@pytest.mark.parametrize(("url", "secret"), [("http:///x", "k"), ("http://127.0.0.1/x", "whsec_!!!")])
def test_what_can_never_work_is_refused_at_once(url, secret):
    with pytest.raises(ValueError, match=r"names no host|base64"):
        WebhookNotifier(Webhook(url=url, secret=Secret(secret)), now=lambda: START)
