"""The demo's folder: what it keeps from one run to the next, and the settings it writes for agent and collector.

The demo plays everybody: it registers the site as the service company would, and signs the consent as the customer
would. What it writes are the ordinary files; `forewarn agent run` and `forewarn collector run` read nothing else.

Errors:
    Unfit   the folder cannot be used for a demo: `str()` says why in one line
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import msgspec
import yaml

from collector.opening import open_databases
from collector.register import Register
from collector.settings import Settings as CollectorSettings
from collector.settings import load as load_collector
from forewarn import signals
from forewarn.consent import Consent, document, instant, new_id, new_key, sign
from forewarn.demo import broker
from forewarn.demo.courses import DAY
from forewarn.demo.history import LENGTH
from forewarn.demo.site import AGENT, SITE, SITE_NAME
from forewarn.demo.stage import Actor
from forewarn.vocabulary import Source

INTERVAL = "5s"
HOST_INTERVAL = "2s"
_KEPT = "demo.json"
_COLLECTOR = "collector"
_CONSENTED = 365 * DAY


class Unfit(Exception):
    """A folder that no demo can run in."""


class State(msgspec.Struct):
    """What a later run needs to know of the first. `begun` is Unix milliseconds; `history` is whether it is in."""

    begun: int
    secret: str = ""
    shard: int = 0
    token: str = ""
    public: str = ""
    consent: str = ""
    broker_password: str = ""
    history: int = 0
    """Records of the simulated history; 0 until it is whole."""


class Home:
    """The folder. One demo at a time."""

    def __init__(self, folder: Path) -> None:
        """Opens a folder, or makes it.

        Raises:
            Unfit: it holds something else, another demo runs in it, or it cannot be used.
        """
        self.folder = folder.resolve()
        self.agent = self.folder / "agent"
        self.collector_yaml, self.agent_yaml = self.folder / "collector.yaml", self.folder / "agent.yaml"
        self.broker_json = self.folder / "broker.json"
        self.ledger, self.simulated = self.folder / "spool.ledger", self.folder / "simulated.ledger"
        self._kept = self.folder / _KEPT
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self._kept.exists() and any(self.folder.iterdir()):
                raise Unfit(f"{folder} holds other things: name an empty folder, or one of an earlier demo")
            self._lock = (self.folder / "lock").open("w")
            self.state = self._read()
        except OSError as wrong:
            raise Unfit(f"{folder} cannot be used: {wrong.strerror}") from wrong
        _held(self._lock.fileno(), folder)
        self.fresh = not self.state.secret
        self.keep()

    def _read(self) -> State:
        try:
            return msgspec.json.decode(self._kept.read_bytes(), type=State)
        except FileNotFoundError:
            return State(begun=time.time_ns() // 1_000_000)
        except msgspec.DecodeError as wrong:
            raise Unfit(f"{self._kept} is not what a demo wrote: {wrong}") from wrong

    def close(self) -> None:
        """Lets another demo use it."""
        self._lock.close()

    def keep(self) -> None:
        """Writes down the state, for nobody else to read: it has the secrets."""
        draft = self._kept.with_suffix(".tmp")
        draft.touch(mode=0o600)
        draft.write_bytes(msgspec.json.encode(self.state))
        draft.replace(self._kept)

    def write_broker(self, port: int) -> None:
        """Writes the broker's configuration and passwords; the agent must be registered."""
        users = {AGENT: signals.derive(self.state.secret, "mqtt"), _COLLECTOR: self.state.broker_password}
        passwords = self.folder / "broker.passwords"
        broker.write_passwords(passwords, users)
        self.broker_json.write_bytes(msgspec.json.encode(broker.configuration(port, passwords, AGENT, _COLLECTOR)))

    def write_collector(self, broker_port: int, api_port: int) -> None:
        """Writes collector.yaml."""
        self.state.broker_password = self.state.broker_password or secrets.token_hex(32)
        login = {"user": _COLLECTOR, "password": self.state.broker_password}
        _written(
            self.collector_yaml,
            {
                "folder": str(self.folder / "collector"),
                "broker": {"host": "127.0.0.1", "port": broker_port, **login},
                "api": {"port": api_port},
                # The proof at the end reads the whole journal, also of a demo that goes on weeks later.
                "journal": {"keep": "400d"},
            },
        )

    def register(self) -> None:
        """Registers site, agent, consent and a token for whoever watches, as `forewarn collector add-...` do."""
        if not self.fresh:
            return
        # An earlier demo may have been killed before it kept what it registered.
        shutil.rmtree(self.folder / "collector", ignore_errors=True)
        opened = open_databases(self.collector_settings())
        try:
            opened.migrate()
            register = Register(opened)
            register.add_site(SITE, SITE_NAME)
            enrolled = register.add_agent(SITE, AGENT)
            private, public = new_key()
            signed = sign(_draft(self.state.begun), private)
            register.add_consent(document(signed), key=public)
            token = register.add_token("demo")
        finally:
            opened.close()
        self.agent.mkdir(exist_ok=True)
        (self.agent / "consent.json").write_bytes(document(signed))
        state = self.state
        state.secret, state.shard, state.token = enrolled.secret, enrolled.shard, token
        state.public, state.consent = public, signed.id
        self.keep()

    def collector_settings(self) -> CollectorSettings:
        """The collector's settings, as it reads them."""
        return load_collector(self.collector_yaml, env={})

    def write_agent(self, broker_port: int, actors: Sequence[Actor]) -> None:
        """Writes agent.yaml, and the site's own profile."""
        profiles = self.folder / "profiles"
        profiles.mkdir(exist_ok=True)
        for file in (resources.files("forewarn.demo") / "profiles").iterdir():
            (profiles / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
        devices = [_target(actor) for actor in actors]
        _written(
            self.agent_yaml,
            {
                "site": SITE,
                "agent": AGENT,
                "shard": self.state.shard,
                "secret": self.state.secret,
                "folder": str(self.agent),
                "broker": {"host": "127.0.0.1", "port": broker_port},
                "trusted_keys": [self.state.public],
                "profiles": str(profiles),
                "devices": devices,
                "host": {"interval": HOST_INTERVAL},
                "report": INTERVAL,
                "spool": {"ledger": str(self.ledger)},
            },
        )


def _draft(begun: int) -> Consent:
    return Consent(
        id=new_id(),
        site=SITE,
        customer="Harbour Ltd (simulated)",
        signed_by="the demo, for the simulated customer",
        scopes=[Source.SNMP, Source.HOST],
        networks=["127.0.0.0/8"],
        valid_from=instant(begun - LENGTH - DAY),
        valid_until=instant(begun + _CONSENTED),
    )


def _target(actor: Actor) -> dict[str, object]:
    role, device = actor.role, actor.device
    target: dict[str, object] = {"name": role.name, "address": device.address, "port": device.port}
    target |= {"interval": INTERVAL, "timeout": "1s", "retries": 1}
    return target | ({"profile": role.profile} if role.profile else {}) | role.links


def _written(path: Path, settings: dict[str, object]) -> None:
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _held(handle: int, folder: Path) -> None:
    """Takes the folder for this process, where the system can."""
    with contextlib.suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as wrong:
            raise Unfit(f"another demo runs in {folder}: end it, or name another folder") from wrong
