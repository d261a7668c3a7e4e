"""The console's pages at full size: 2,000 sites, 40,000 devices, 50,000 tickets; a calm machine, one visitor.

`*_page_p95_ms` is from a page's request to the last byte of its first answer, through the real HTTP server of
`forewarn collector run`; `*_page_kib` is that answer. `*_data_p95_ms` are the questions that pages ask of the databases
and the store, alone, in one thread. `page_p95_ms` and `data_p95_ms` are the slowest of each. What a browser makes of an
answer is measured elsewhere.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import yaml
from prometheus_client import CollectorRegistry

from bench._fleet import LARGE, Size, fill
from bench._processes import Running, ending, until
from collector.api.parts import Parts
from collector.console import reads
from collector.opening import rule_texts
from collector.series.opening import open_store
from collector.series.store import SeriesStore
from collector.settings import Rules, Series
from collector.storage.database import Databases, open_sqlite
from collector.tickets.book import Book
from collector.tickets.lifecycle import State
from collector.tickets.ticket import Search
from rules.ruleset import ruleset

TARGETS: dict[str, str] = {"page_p95_ms": "<= 1000", "data_p95_ms": "<= 500"}
SIZE = Size(sites=2000, devices=40_000, tickets=50_000)
Question = Callable[[], Any]


def run(*, quick: bool) -> dict[str, float]:
    """Measures; see TARGETS and the module."""
    times = 10 if quick else 40
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        token = fill(data, SIZE)
        asked = _asked_alone(data, times)
        paths = _paths(data)
        shown = _shown(Path(folder), token, paths, times)
    figures = {"page_p95_ms": max(value for name, value in shown.items() if name.endswith("p95_ms"))}
    return figures | {"data_p95_ms": max(asked[name] for name in asked if name.endswith("p95_ms"))} | shown | asked


def _asked_alone(data: Path, times: int) -> dict[str, float]:
    """What each question costs."""
    databases, store = open_sqlite(data), open_store(Series(), data)
    try:
        parts = _parts(databases, store)
        figures: dict[str, float] = {}
        for name, question in _questions(parts).items():
            question()
            figures |= _figures(f"{name}_data", [_seconds(question) for _ in range(times)])
        return figures
    finally:
        store.close()
        databases.close()


def _parts(databases: Databases, store: SeriesStore) -> Parts:
    def now() -> int:
        return int(time.time() * 1000)

    return Parts(
        journal=databases.journal,
        service=databases.service,
        store=store,
        tickets=Book(databases.service, now=now),
        look_up=lambda _: None,
        checks=list,
        registry=CollectorRegistry(),
        now=now,
        rules=ruleset(rule_texts(Rules())),
    )


def _questions(parts: Parts) -> dict[str, Question]:
    """By name, what pages ask."""
    book, store = parts.tickets, parts.store
    last = book.search(limit=1).tickets[0]
    searches = {
        "tickets_open": Search(states=(State.OPEN,)),
        "tickets_any": Search(),
        "tickets_of_site": Search(states=(State.OPEN,), site="s-01500"),
        "tickets_of_device": Search(site=last.site, device=last.device),
        "tickets_mine": Search(states=(State.OPEN,), assignee="Lan"),
        "tickets_of_nobody": Search(states=(State.CLOSED,), assignee="Nobody"),
        "tickets_by_words": Search(text="写满"),
        "tickets_in_vain": Search(text="no such words"),
    }
    asked: dict[str, Question] = {name: lambda of=of: book.search(of, limit=100) for name, of in searches.items()}  # type: ignore[misc]
    asked["tickets_page_2"] = lambda: book.search(Search(states=(State.OPEN,)), limit=100, after=last.id)
    asked["ticket"] = lambda: (book.get(last.id), book.history(last.id), reads.earlier(parts, last))
    asked["fleet"] = lambda: reads.sites(parts)
    asked["site_names"] = lambda: reads.site_names(parts)
    asked["site_large"] = lambda: reads.site(parts, LARGE)
    asked["site_values"] = lambda: store.last(LARGE)
    asked["device"] = lambda: (reads.device(parts, LARGE, "sw-0"), reads.devices(parts, LARGE))
    asked["delivery"] = lambda: reads.deliveries(parts)
    asked["counts"] = book.counts
    return asked


def _seconds(question: Question) -> float:
    began = time.perf_counter()
    question()
    return time.perf_counter() - began


def _figures(name: str, seconds: list[float]) -> dict[str, float]:
    p50, p95 = (float(value) * 1000 for value in np.percentile(seconds, [50, 95]))
    return {f"{name}_p50_ms": p50, f"{name}_p95_ms": p95}


def _paths(data: Path) -> dict[str, str]:
    """By name, the pages; a ticket's is that of the newest."""
    databases = open_sqlite(data)
    try:
        ticket = Book(databases.service, now=lambda: 0).search(limit=1).tickets[0].id
    finally:
        databases.close()
    return {
        "fleet": "/",
        "site_large": f"/sites/{LARGE}",
        "site_small": "/sites/s-01500",
        "device": f"/sites/{LARGE}/sw-0",
        "tickets": "/tickets",
        "tickets_by_words": "/tickets?state=any&text=no+such+words",
        "ticket": f"/tickets/{ticket}",
        "new_ticket": "/tickets/new",
        "delivery": "/ingest",
        "rules": "/rules",
    }


def _shown(folder: Path, token: str, paths: dict[str, str], times: int) -> dict[str, float]:
    """What each page's first answer takes, through a collector of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nobody = {"host": "127.0.0.1", "port": 1}
    settings = {"folder": "data", "broker": nobody, "api": {"port": port}, "console": {"language": "zh"}}
    (folder / "collector.yaml").write_text(yaml.safe_dump(settings))
    running = Running([sys.executable, "-m", "forewarn", "collector", "run", "-c", "collector.yaml"], folder)
    here = f"http://127.0.0.1:{port}"
    with ending(running), httpx.Client(base_url=here, trust_env=False, timeout=60) as visitor:

        def alive() -> bool:
            try:
                return visitor.get("/livez").status_code == 200
            except httpx.TransportError:
                return False

        until(alive, "the collector answers")
        visitor.post("/login", data={"token": token}, headers={"origin": here}).read()
        figures: dict[str, float] = {}
        for name, path in paths.items():
            seconds = [_seconds(lambda path=path: visitor.get(path).raise_for_status()) for _ in range(times + 2)][2:]  # type: ignore[misc]
            answer = visitor.get(path)
            if answer.status_code != 200 or "/login" in str(answer.url):
                raise SystemExit(f"{path} was not shown: {answer.status_code}")
            figures |= _figures(f"{name}_page", seconds) | {f"{name}_page_kib": len(answer.content) / 1024}
        return figures
