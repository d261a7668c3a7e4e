"""The console as a browser meets it: a collector with a site, and an engineer who has logged in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.console_site import Shown, running
from tests.e2e.browser import Browser, browser


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A running collector and what it shows."""
    with running(tmp_path_factory.mktemp("console")) as collector:
        yield collector


@pytest.fixture(scope="module")
def engineer(shown: Shown, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Mei, logged in."""
    with browser(shown.address, tmp_path_factory.mktemp("downloads")) as opened:
        opened.log_in(shown.token)
        yield opened
