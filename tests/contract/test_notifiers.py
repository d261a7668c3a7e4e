"""What every channel for notices must do, on real servers and on the shelf that stands in for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from collector.notify.memory import Shelf
from collector.notify.notifier import Notice, Notifier, NotifyError
from collector.notify.smtp import SmtpNotifier
from collector.notify.webhook import WebhookNotifier
from collector.settings import Smtp, Webhook
from forewarn.settings import Duration, Secret
from tests.findings import START
from tests.receivers import mailbox, receiver
from tests.servers import free_port

NOTICE = Notice(
    id="01M8200QY4XMCBDHD60K68ZZ8N",
    ticket="01M8200QY4XMCBDHD60K68ZZ8T",
    event="opened",
    severity="critical",
    site="s1",
    device="nvr1",
    rule="volume.filling",
    title={"zh": "nvr1 的 /data 约 41 小时后写满", "en": "nvr1: /data is full in about 41 h"},
    body={"zh": "新工单（严重）\n建议：扩容", "en": "New ticket (critical)\nAdvice: extend storage"},
    occurred_at=START,
    recorded_at=START + 1000,
)


@dataclass
class Channel:
    """A channel and the other side of it."""

    notifier: Notifier
    received: Any
    fail: Any

    def texts(self) -> list[str]:
        return [self.received(one) for one in range(self.count())]

    def count(self) -> int:
        return self.received(None)


@pytest.fixture(params=["smtp", "webhook", "shelf"])
def channel(request):
    if request.param == "smtp":
        with mailbox() as box:
            settings = Smtp(
                host="127.0.0.1", port=box.port, security="none", sender="forewarn@example.com", to=["duty@example.com"]
            )

            def mails(at):
                return len(box.mails) if at is None else box.mails[at].get_content() + box.mails[at]["Message-ID"]

            answers = {False: "451 later", True: "554 never"}
            yield Channel(SmtpNotifier(settings), mails, lambda permanent: box.answers.append(answers[permanent]))
    elif request.param == "webhook":
        with receiver() as there:
            address = f"http://127.0.0.1:{there.port}/hook"
            hook = WebhookNotifier(Webhook(url=address, secret=Secret("k")), now=lambda: START)

            def posts(at):
                return len(there.posts) if at is None else there.posts[at][1].decode()

            yield Channel(hook, posts, lambda permanent: there.answers.append(422 if permanent else 503))
    else:
        shelf = Shelf()

        def kept(at):
            return len(shelf.taken) if at is None else msgspec.json.encode(shelf.taken[at]).decode()

        yield Channel(shelf, kept, lambda permanent: shelf.fail("as told", permanent=permanent))


def test_a_notice_arrives_once_in_both_languages_under_its_id(channel):
    channel.notifier.send(NOTICE)
    (text,) = channel.texts()
    assert "建议：扩容" in text
    assert "Advice: extend storage" in text
    assert NOTICE.id in text


@pytest.mark.parametrize("permanent", [False, True])
def test_a_refusal_says_whether_trying_again_helps(channel, permanent):
    channel.fail(permanent)
    with pytest.raises(NotifyError, match=f"^{channel.notifier.name}: .") as refused:
        channel.notifier.send(NOTICE)
    assert refused.value.permanent is permanent
    assert channel.count() == 0
    channel.notifier.send(NOTICE)
    assert channel.count() == 1


def smtp_at(port: int, **settings) -> SmtpNotifier:
    given = {"host": "127.0.0.1", "sender": "forewarn@example.com", "to": ["duty@example.com"], "security": "none"}
    return SmtpNotifier(Smtp(port=port, timeout=Duration(3.0), **{**given, **settings}))


def hook_at(port: int, **settings) -> WebhookNotifier:
    given = {"url": f"http://127.0.0.1:{port}/hook?x=1", "secret": Secret("k"), "timeout": Duration(0.3)}
    return WebhookNotifier(Webhook(**{**given, **settings}), now=lambda: START)


@pytest.mark.parametrize("made", [smtp_at, hook_at])
def test_nobody_listening_is_tried_again(made):
    with pytest.raises(NotifyError, match="Connection refused") as refused:
        made(free_port()).send(NOTICE)
    assert not refused.value.permanent
