"""The console's pages in a real browser, calm and while a backlog is taken in: how long until one can work on a page.

A headless Chromium loads each page in turn. The time runs from the navigation to the moment the page holds everything
it reads for itself, curves included, and takes notice of clicks; it is taken inside the page, every 10 ms. First nothing
else happens; then two agents deliver their full spools through a mosquitto as fast as they can, and pages are loaded
until the last record is committed and in the series. The browser has the first core to itself, as an engineer's has a
machine of its own; collector, broker and agents share the others. With one core they share that, and the figures tell
little.

`p95_calm_ms` and `p95_backlog_ms` are those of the slowest page; each page's own are beside them.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from bench._pipeline import RECORDER
from bench._processes import SITE, Running, Site, SpooledAgent, ending, until
from bench.mqtt import committed, percentile
from tests.console_site import seed
from tests.e2e.browser import Browser, browser

TARGETS: dict[str, str | float] = {"p95_calm_ms": "< 1000", "p95_backlog_ms": "< 1000"}
AGENTS = 2
DEVICES = 50
LOADS = 30
ROUNDS = 120
"""Polls of every device for each calm load: with the pages the backlog of a full run takes about a minute."""
READY = """
const begun = setInterval(() => {
  const awake = window.did_handshake && window.socket.connected && document.querySelector('h1')
  const waits = document.querySelector('.q-spinner, .fw-charts:empty')
  if (awake && !waits) { clearInterval(begun); window.readyAt = performance.now() }
}, 10)
"""


def run(*, quick: bool) -> dict[str, float]:
    """Measures; see the module and TARGETS."""
    loads = LOADS // 5 if quick else LOADS
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        token, _ = seed(Path(folder) / "data")
        browsers, others = _shared()
        agents = [
            site.agent(f"a{number}", RECORDER, devices=DEVICES, rounds=ROUNDS * loads) for number in range(AGENTS)
        ]
        with _visitor(site, Path(folder), browsers) as page, _on(others):
            broker = site.broker()
            with ending(broker):
                collector = site.collector()
                with ending(collector):
                    return visited(site, agents, page, token, loads)


def visited(site: Site, agents: list[SpooledAgent], page: Browser, token: str, loads: int) -> dict[str, float]:
    """The pages, calm and then under a backlog."""
    page.log_in(token)
    paths = _paths(site, token)
    calm = measured(page, paths, lambda done: done >= loads)
    return figures(calm, "calm") | backlog(site, agents, page, paths)


def backlog(site: Site, agents: list[SpooledAgent], page: Browser, paths: dict[str, str]) -> dict[str, float]:
    """Loads pages while the agents deliver."""
    whole = sum(agent.head for agent in agents)
    senders: list[Running] = [agent.start() for agent in agents]
    with ending(*senders):
        time.sleep(2.0)
        for agent in agents:
            agent.go()
        until(lambda: committed(site) > 0, "the first block is committed")
        began = time.monotonic()
        times = measured(page, paths, lambda _: committed(site) >= whole and site.lag() == 0)
        took = time.monotonic() - began
    found = figures(times, "backlog")
    return found | {"values_per_second": whole * RECORDER.width / took, "loads": sum(map(len, times.values()))}


def measured(page: Browser, paths: dict[str, str], enough: Callable[[int], bool]) -> dict[str, list[float]]:
    """Milliseconds of each load of each page, in turns until it is enough (told how many turns were made)."""
    times: dict[str, list[float]] = {name: [] for name in paths}
    turns = 0
    while not enough(turns):
        for name, path in paths.items():
            times[name].append(loaded(page, path))
        turns += 1
    return times


def loaded(page: Browser, path: str) -> float:
    """Milliseconds until one can work on a page."""
    page.driver.get(page.address + path)
    found: float = page.until(lambda: page.driver.execute_script("return window.readyAt"), f"{path} is ready", 60)
    return found


def figures(times: dict[str, list[float]], when: str) -> dict[str, float]:
    """Median and 95th percentile of each page, and of the slowest one."""
    middle = {name: percentile(some, 0.5) for name, some in times.items()}
    late = {name: percentile(some, 0.95) for name, some in times.items()}
    found = {f"p50_{when}_ms": max(middle.values()), f"p95_{when}_ms": max(late.values())}
    for name in times:
        found |= {f"{name}_p50_{when}_ms": middle[name], f"{name}_p95_{when}_ms": late[name]}
    return found


def _paths(site: Site, token: str) -> dict[str, str]:
    answer = httpx.get(
        f"http://127.0.0.1:{site.api}/api/v1/tickets?rule=recorder.filling",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )
    return {
        "fleet": "/",
        "site": f"/sites/{SITE}",
        "device": "/sites/harbour/nvr-1",
        "tickets": "/tickets",
        "ticket": f"/tickets/{answer.json()['items'][0]['id']}",
        "new_ticket": "/tickets/new",
        "ingest": "/ingest",
        "rules": "/rules",
    }


@contextlib.contextmanager
def _visitor(site: Site, folder: Path, cores: set[int]) -> Iterator[Browser]:
    with contextlib.ExitStack() as open_:
        with _on(cores):
            page = open_.enter_context(browser(f"http://127.0.0.1:{site.api}", folder))
        page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": READY})
        yield page


def _shared() -> tuple[set[int], set[int]]:
    """The browser's cores and everybody else's."""
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


@contextlib.contextmanager
def _on(cores: set[int]) -> Iterator[None]:
    """Processes that are started within run on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
