"""A collector with something to show, as a real process: seeded files, then `forewarn collector run` without a broker.

Series go through the real engine, so that tickets are those the rules make of them.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import yaml
from sqlalchemy import insert

from collector.evaluation import unwatched
from collector.evaluation.unwatched import Said
from collector.opening import rule_texts
from collector.register import Register
from collector.series.opening import open_store
from collector.settings import Rules, Series
from collector.storage import tables
from collector.storage.database import Databases, open_sqlite
from collector.tickets.book import Book
from forewarn.consent import Consent, document, instant, new_key, sign
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape, TableShape
from rules.engine import Engine
from rules.ruleset import ruleset
from rules.samples import Batch, Device, Floats, Rows
from tests import servers

ROOT = Path(__file__).parents[1]
MINUTE = 60_000
STEP = 10 * MINUTE
POLLS = 1008
"""A week."""
PORTS = [f"Gi1/0/{number}" for number in range(1, 13)]


@dataclass(frozen=True)
class Shown:
    """A running collector with its console."""

    address: str
    token: str
    revocable: str
    """Another token, of Wei, for who wants to revoke it."""
    folder: Path
    log: Path

    def get(self, path: str) -> dict:
        """What the API answers."""
        answer = httpx.get(
            f"{self.address}/api/v1{path}", headers={"Authorization": f"Bearer {self.token}"}, trust_env=False
        )
        assert answer.status_code == 200, answer.text
        return answer.json()


def seed(folder: Path, *, now: int | None = None) -> tuple[str, str]:
    """Fills a data folder; gives the tokens of Mei and Wei."""
    at = int(time.time() * 1000) if now is None else now
    databases = open_sqlite(folder)
    databases.migrate()
    try:
        register = Register(databases)
        _register(register, at)
        store = open_store(Series(), folder)
        book = Book(databases.service, now=lambda: int(time.time() * 1000))
        batch = Batch(1, 1, [_rows(*device, at) for device in _devices()])
        store.write(batch)
        store.close()
        with databases.service.begin() as connection:
            connection.execute(insert(tables.device), [_described(*device[:2], at) for device in _devices()])
            book.apply(Engine(ruleset(rule_texts(Rules()))).apply(batch), 1, connection)
        _delivered(databases, at)
        with databases.service.begin() as connection:
            unwatched.write(connection, [Said("depot", text["address"], "a-depot", at, text) for text in UNWATCHED])
        book.create(
            "Wei", site="depot", device="", severity="warning", title=dict.fromkeys(("zh", "en"), "钥匙丢失 / Key lost")
        )
        return register.add_token("Mei"), register.add_token("Wei")
    finally:
        databases.close()


def _register(register: Register, at: int) -> None:
    sites = {"harbour": "港口北仓 Harbour North", "depot": "城东车辆段 East Depot", "school": "第三中学 School No. 3"}
    for id_, name in sites.items():
        register.add_site(id_, name)
    for site in ("harbour", "depot"):
        register.add_agent(site, f"a-{site}")
    private, public = new_key()
    draft = Consent(
        id="c-1",
        site="harbour",
        customer="Harbour Logistics",
        signed_by="Chen Hui",
        scopes=[Source.SNMP, Source.HOST],
        networks=["10.20.0.0/16", "192.168.1.0/24"],
        valid_from=instant(at - 90 * 86_400_000),
        valid_until=instant(at + 275 * 86_400_000),
    )
    register.add_consent(document(sign(draft, private)), key=public)


def _delivered(databases: Databases, at: int) -> None:
    told = {"records": 9070, "blocks": 410, "duplicates": 12, "gaps": 1, "lost": 0, "set_aside": 1}
    mine = {
        "agent": "a-harbour",
        "epoch": "01JD0000000000000000000001",
        "oldest": 9021,
        "head": 9110,
        "heard": at + 3_600_000,
    }
    other = {
        "agent": "a-depot",
        "epoch": "01JD0000000000000000000002",
        "oldest": 1,
        "head": 840,
        "heard": at - 5_400_000,
    }
    held = {
        "held": 3,
        "held_reason": "unknown_consent: consent `c-9` is not registered for site `depot` under a trusted key",
        "records": 700,
    }
    aside = {"arrived": at - 400_000, "topic": "fw/1/t/03/a-harbour", "agent": "a-harbour", "reason": "not_json"}
    with databases.journal.begin() as connection:
        connection.execute(
            insert(tables.ingest), [{**told, **mine, "held": 0, "held_reason": ""}, {**told, **other, **held}]
        )
        mark = {"chain": bytes(16), "begun": at - 604_800_000, "moved": at}
        for spoken, upto in ((mine, 9070), (other, 700)):
            connection.execute(
                insert(tables.watermark).values(agent=spoken["agent"], epoch=spoken["epoch"], upto=upto, **mark)
            )
        connection.execute(
            insert(tables.set_aside).values(**aside, detail="begins with b'\\x00'", size=64, payload=b"\0")
        )


Described = tuple[str, Shape, Floats]
UNWATCHED = [
    {
        "address": "10.30.0.64",
        "mac": "bc:ad:28:00:00:64",
        "maker": "Hikvision",
        "answers": "ping, TCP 554, TCP 80, ONVIF",
        "name": "东门球机",
        "model": "DS-2DE4425",
    },
    {"address": "10.30.0.9", "answers": "ping, TCP 443"},
]
LINKS = {
    "sw-1": {"ups": "ups-1"},
    "ups-1": {},
    "nvr-1": {"switch": "sw-1", "switch_port": "Gi1/0/8", "ups": "ups-1"},
    "cam-gate": {"switch": "sw-1", "switch_port": "Gi1/0/7", "recorder": "nvr-1", "recorder_channel": "7"},
    "cam-06": {"switch": "sw-2", "switch_port": "1"},
    **{
        f"cam-{at:02}": {"switch": "sw-1", "switch_port": str(at), "recorder": "nvr-1", "recorder_channel": str(at)}
        for at in range(1, 6)
    },
}
"""What hangs on what; there is no sw-2."""


def _shape(kind: DeviceKind, profile: str, parts: Sequence[tuple[str, list[str], list[str]]]) -> Shape:
    return Shape(kind, profile, Source.SNMP, [TableShape(*part) for part in parts])


DAYS = np.arange(POLLS) * STEP / 86_400_000
ONES, ZEROS = np.ones(POLLS), np.zeros(POLLS)
ENDED = np.where(np.arange(POLLS) >= POLLS - 4, 0.0, 1.0)
DEVICE = ("device", [""], ["up", "rtt_seconds"])
VOLUME = ("volume", ["1", "2"], ["used_percent", "total_bytes", "overwrite"])
RECORDER = _shape(
    DeviceKind.RECORDER, "hikvision.recorder", [DEVICE, VOLUME, ("disk", ["1", "2"], ["temperature_celsius", "status"])]
)
UPS = _shape(
    DeviceKind.UPS, "ups.apc", [DEVICE, ("ups", [""], ["on_battery", "charge_percent", "runtime_seconds", "status"])]
)


def _devices() -> list[Described]:
    """(name, shape, values) of everything on the site; the same at every call."""
    noise = np.random.default_rng(7)
    wave = np.sin(DAYS * 2 * np.pi)
    rtt = 0.003 + 0.001 * noise.random(POLLS)
    camera = _shape(
        DeviceKind.CAMERA, "hikvision.camera", [DEVICE, ("host", [""], ["cpu_percent", "memory_used_percent"])]
    )
    load = [35 + 10 * wave + noise.random(POLLS), 52 + noise.random(POLLS)]
    switch = _shape(
        DeviceKind.SWITCH,
        "switch.generic",
        [DEVICE, ("interface", PORTS, ["up", "in_bits_per_second", "out_bits_per_second"])],
    )
    flows = [(4e6 * (1 + 0.3 * wave) + at * 5e5, 2e5 + 1e4 * noise.random(POLLS)) for at in range(len(PORTS))]
    listed = [
        ("nvr-1", RECORDER, [ONES, rtt, *_volumes_and_disks(noise, wave)]),
        ("ups-1", UPS, [ONES, rtt, *_failing_mains()]),
        ("cam-gate", camera, [ENDED, rtt, *load]),
        *((f"cam-{at:02}", camera, [ONES, rtt, *load]) for at in range(1, 7)),
        ("sw-1", switch, [ONES, rtt, *(row for flow in flows for row in (ONES, *flow))]),
    ]
    return [(name, shape, np.array(values).T) for name, shape, values in listed]


def _volumes_and_disks(noise: np.random.Generator, wave: Floats) -> list[Floats]:
    """Volume 1 fills by 4.8 % a day, volume 2 does not."""
    filling = 56 + 4.8 * DAYS + 2.5 * noise.standard_normal(POLLS)
    volumes = [filling, 8e12 * ONES, ZEROS, 41 + wave, 8e12 * ONES, ZEROS]
    return [*volumes, 38 + 2 * wave, ZEROS, 41 + 2 * wave, ZEROS]


def _failing_mains() -> list[Floats]:
    """On battery since the last polls."""
    runtime = np.where(ENDED == 1, 3300 - 40 * DAYS, 1500)
    return [1 - ENDED, np.where(ENDED == 1, 100, 47.0), runtime, 1 - ENDED]


def _rows(name: str, shape: Shape, values: Floats, at: int) -> Rows:
    t = at - (np.arange(POLLS, dtype=np.int64)[::-1]) * STEP
    first = np.full(POLLS, 1, np.int64)
    whose = [Device("harbour", "a-harbour", name)] * POLLS
    return Rows(shape, whose, t, t, first, np.arange(POLLS, dtype=np.int64), np.zeros(POLLS, np.bool_), values)


def _described(name: str, shape: Shape, at: int) -> dict:
    models = {"recorder": "DS-9664NI-I8", "ups": "SMT1500RMI2U", "camera": "DS-2CD2T47G2-L", "switch": "S5120V3-28P"}
    inventory = {"model": models[shape.kind.value], "serial": f"SN-{name}", "firmware": "V4.62.210"} | LINKS[name]
    seen = {"first_seen": at - 7 * 86_400_000, "last_seen": at}
    return {
        "site": "harbour",
        "device": name,
        "agent": "a-harbour",
        "kind": shape.kind.value,
        "profile": shape.profile,
        "inventory": inventory,
        **seen,
    }


@contextlib.contextmanager
def running(folder: Path, *, language: str = "auto") -> Iterator[Shown]:
    """A seeded collector that serves its console."""
    data = folder / "data"
    data.mkdir(parents=True)
    tokens = seed(data)
    port, log = servers.free_port(), folder / "log"
    settings = {
        "folder": str(data),
        "broker": {"host": "127.0.0.1", "port": servers.free_port()},
        "api": {"port": port},
        "console": {"language": language},
    }
    (folder / "collector.yaml").write_text(yaml.safe_dump(settings))
    process = servers.start(
        [sys.executable, "-m", "forewarn", "collector", "run", "--config", str(folder / "collector.yaml")],
        folder,
        port,
        cwd=ROOT,
    )
    try:
        yield Shown(f"http://127.0.0.1:{port}", *tokens, folder, log)
    finally:
        servers.stop(process)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with running(Path(sys.argv[1])) as shown:
        print(shown.address, shown.token, flush=True)  # noqa: T201
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)
