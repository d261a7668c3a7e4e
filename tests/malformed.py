"""Real blocks spoilt at random, and what must hold of an intake whatever arrives: for the tests, and the bench."""

from __future__ import annotations

import random
import zlib
from collections import Counter

from forewarn.wire import MAX_INFLATED, Malformed, unpack
from tests.blocks import Script
from tests.intakes import Collector


def real(agent: str) -> list[bytes]:
    """Blocks as agents send them: plain, deflated, with a declared loss, with a text."""
    script = Script(agent=agent).poll(60)
    return [script.block(1, 2), script.block(1, 60), script.block(7, 10, lost=script.lose(3, 6)), script.block(5, 30)]


def spoilt(block: bytes, dice: random.Random) -> bytes:
    """A block with one to three mistakes, in its bytes or in its text under the compression."""
    plain = zlib.decompress(block) if block[:1] == b"\x78" else block
    packed = dice.random() < 0.5
    text = bytearray(plain if dice.random() < 0.7 else block)
    for _ in range(dice.randint(1, 3)):
        at, end = sorted((dice.randrange(len(text) + 1), dice.randrange(len(text) + 1)))
        match dice.randrange(6):
            case 0:
                text[at : at + 1] = dice.randbytes(1)
            case 1:
                del text[at : min(end, at + 40)]
            case 2:
                text[at:at] = text[at : min(end, at + 40)]
            case 3:
                text[at:at] = dice.choice(
                    [b"NaN", b"1e999", b"null", b"\xff", b"[[[[", b'"', b"\\u0000", b"-1", b"9" * 30]
                )
            case 4:
                del text[at:]
            case _:
                text[at : at + 8] = dice.randbytes(8)
        text = text or bytearray(b"{")
    return zlib.compress(bytes(text), 1) if packed and len(text) < MAX_INFLATED else bytes(text)


def is_malformed(payload: bytes) -> bool:
    """Whether no block can be read of it."""
    try:
        unpack(payload)
    except Malformed:
        return True
    return False


def shower(collector: Collector, topic: str, agent: str, count: int, seed: int) -> Counter[str]:
    """Sends malformed messages by the hundred and gives how many were set aside by reason.

    Raises:
        AssertionError: one of them was not counted, or stopped something.
    """
    dice, blocks, found = random.Random(seed), real(agent), Counter[str]()
    while sum(found.values()) < count:
        wanted = min(100, count - sum(found.values()))
        some: list[bytes] = []
        while len(some) < wanted:
            payload = spoilt(dice.choice(blocks), dice)
            if is_malformed(payload):
                some.append(payload)
        for payload in some:
            try:
                unpack(payload)
            except Malformed as wrong:
                found[wrong.reason] += 1
        collector.send(topic, *some)
        assert collector.intake.failed == 0
    return found
