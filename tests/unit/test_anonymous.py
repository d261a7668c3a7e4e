"""What a recording for support must not tell of its owner."""

from __future__ import annotations

from agent.profiles.files import shipped
from agent.support.anonymous import Disguise


def test_an_address_for_mail_in_any_text_gets_a_stand_in_and_the_same_one_each_time():
    disguise = Disguise(shipped()["generic"])
    said = "1.3.6.1.2.1.1.1.0", "1.3.6.1.4.1.99999.1.0"
    told = disguise.replaced(dict.fromkeys(said, b"Ask jane.doe@example.com of it"))
    assert len(set(told.values())) == 1
    assert b"jane" not in b"".join(value for value in told.values() if isinstance(value, bytes))
    assert disguise.counts == {"contact": 1}
