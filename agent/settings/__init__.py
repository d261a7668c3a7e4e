"""What a person may set in `agent.yaml`; the commented example is made from these structs.

Every key can be given by the environment as well: `FOREWARN_AGENT__KEY` over `key:`, `FOREWARN_AGENT__SECTION__KEY` over
`section: {key: }`; those of a collector on the same machine are its own. Paths that are not absolute count from the
working folder.

Errors:
    forewarn.settings.SettingError   with file, line, column and what to write instead, for everything found
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from agent.settings import folder as folders
from agent.settings import links
from agent.settings.credential import Credential
from agent.settings.listening import Listening
from agent.settings.looking import Looking
from agent.settings.target import Target, credited
from forewarn import signals
from forewarn.bus import Broker
from forewarn.sample import STANDS
from forewarn.settings import Duration, Secret, SettingError, Size, read_file
from forewarn.telemetry import Level
from forewarn.vocabulary import nearest
from forewarn.wire import SHARDS

ENVIRONMENT = "FOREWARN_AGENT__"
CONSENT = "consent.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SERVICE = re.compile(r"[\w][\w .@:\\-]{0,127}")
_KEY = re.compile(r"[0-9a-f]{64}")


class Watched(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program of this machine that must run."""

    name: Annotated[str, Meta(description="What people call it.", examples=["recorder"], min_length=1)]
    match: Annotated[
        str,
        Meta(
            description="A regular expression found in its command line.", examples=["/opt/vms/recorder"], min_length=1
        ),
    ]

    def __post_init__(self) -> None:
        """Refuses what is no regular expression.

        Raises:
            ValueError: (key, what), as `forewarn.settings.read` reports it.
        """
        try:
            re.compile(self.match)
        except re.error as wrong:
            raise ValueError("match", f"`{self.match}` is no regular expression: {wrong}") from None


class HostReading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reading this machine itself; the consent must grant the scope `host`."""

    enabled: Annotated[bool, Meta(description="Whether this machine is read as a device too.")] = True
    name: Annotated[str, Meta(description="What people call it; left out, the agent's id and `.host`.")] = ""
    interval: Annotated[Duration, Meta(description="Time between two readings.", gt=0)] = Duration(60)
    services: Annotated[
        list[str], Meta(description="Services that must run, by their names in systemd or Windows: [ssh, chrony].")
    ] = []
    processes: Annotated[
        list[Watched],
        Meta(description="Programs that must run, by their command lines: [{name: recorder, match: /opt/vms/}]."),
    ] = []
    smart: Annotated[
        Duration, Meta(description="Time between two looks at the health of all disks (smartctl); 0s for none.", ge=0)
    ] = Duration(1800)
    switch: links.Switch = None
    switch_port: links.SwitchPort = None
    ups: links.Supply = None

    def __post_init__(self) -> None:
        """Refuses two of one name.

        Raises:
            ValueError: (key, what), as `forewarn.settings.read` reports it.
        """
        seen: set[str] = set()
        named = [
            *(("services", each) for each in self.services),
            *(("processes", each.name) for each in self.processes),
        ]
        for key, name in named:
            if not _SERVICE.fullmatch(name):
                raise ValueError(key, f"`{name}` is no name of a service: letters, digits, blanks and `._@:-`")
            if name in seen:
                raise ValueError(key, f"`{name}` is watched already")
            seen.add(name)


class Polling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of polling; the defaults suit nearly everybody."""

    in_flight: Annotated[
        int, Meta(description="Requests to devices that may be under way at once on the whole site.", ge=1, le=1024)
    ] = 64


class Keeping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The spool: records kept on disk until the collector has them."""

    limit: Annotated[
        Size, Meta(description="Room for records; when it is used up the oldest go, and a record says so.", gt=0)
    ] = Size.parse("2GiB")
    age: Annotated[
        Duration,
        Meta(
            description="For how long a record is kept that the collector does not take, while the agent runs; then it "
            "goes, and a record says so.",
            ge=3600,
        ),
    ] = Duration(30 * 86400)
    linger: Annotated[
        Duration, Meta(description="How long a record waits for others to share its write to disk.", ge=0, le=1)
    ] = Duration(0.02)
    ledger: Annotated[
        Path | None,
        Meta(description="A file that gets a line `epoch seq hash` for every record kept; for proofs of completeness."),
    ] = None


class LogKeeping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The log book: what left, as it was sent, for the customer to read with `forewarn agent log`."""

    limit: Annotated[
        Size, Meta(description="Room for it; the oldest go first, and all of it before the spool.", ge=1024 * 1024)
    ] = Size.parse("256MiB")
    age: Annotated[Duration, Meta(description="For how long it is kept at most.", gt=0)] = Duration(30 * 86400)


class Delivery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times of delivery; the defaults suit nearly everybody."""

    patience: Annotated[
        Duration, Meta(description="Without progress for so long, records are sent again; doubles each time.", gt=0)
    ] = Duration(30)
    patience_most: Annotated[Duration, Meta(description="Where the doubling ends.", gt=0)] = Duration(600)
    held: Annotated[
        Duration, Meta(description="Wait while the collector refuses our records; doubles each time.", gt=0)
    ] = Duration(5)
    held_most: Annotated[Duration, Meta(description="Where that doubling ends.", gt=0)] = Duration(300)
    gather: Annotated[
        Duration, Meta(description="Records that come within so long leave in one message.", ge=0, le=60)
    ] = Duration(0.5)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agent."""

    site: Annotated[str, Meta(description="The site this agent works for.", examples=["s-1"])]
    agent: Annotated[str, Meta(description="Its id, as `forewarn collector add-agent` gave it.", examples=["a-1"])]
    shard: Annotated[int, Meta(description="Its shard, from there too.", ge=0, le=SHARDS - 1, examples=[0])]
    secret: Annotated[
        Secret | None,
        Meta(
            description="Its secret, from there too, or give `secret_file`.",
            examples=["..."],
            extra={STANDS: True},
        ),
    ] = None
    secret_file: Annotated[Path | None, Meta(description="A file whose first line is the secret.")] = None
    folder: Annotated[Path, Meta(description="Where it keeps the spool, the consent, and looks for the file STOP.")] = (
        Path("agent")
    )
    broker: Annotated[Broker, Meta(description="The MQTT broker. User and password follow from agent and secret.")]
    trusted_keys: Annotated[
        list[str],
        Meta(description="Public keys whose consent counts: those of the customer, 64 hexadecimal digits each."),
    ] = []
    consent: Annotated[Path | None, Meta(description="The signed consent; left out, consent.json in `folder`.")] = None
    profiles: Annotated[
        Path | None, Meta(description="A folder of profiles of your own; the same id replaces a shipped one.")
    ] = None
    credentials: Annotated[
        dict[str, Credential],
        Meta(
            description="SNMP credentials that devices share, by a name.",
            examples=[{"floor2": {"version": "3", "user": "forewarn", "auth_file": "auth", "privacy_file": "privacy"}}],
        ),
    ] = {}
    devices: Annotated[
        list[Target],
        Meta(
            description="The devices to poll.",
        ),
    ] = []
    devices_folder: Annotated[
        Path | None,
        Meta(description="A folder with more of them: each file NAME.yaml in it a list under `devices:`."),
    ] = None
    polling: Annotated[Polling, Meta(description="Bounds of polling.")] = Polling()
    host: Annotated[HostReading, Meta(description="This machine itself.")] = HostReading()
    traps: Annotated[Listening, Meta(description="What devices report by themselves: SNMP traps and informs.")] = (
        Listening()
    )
    discovery: Annotated[Looking, Meta(description="Looking now and then for devices that nobody watches.")] = Looking()
    spool: Annotated[Keeping, Meta(description="Records on disk.")] = Keeping()
    log_book: Annotated[LogKeeping, Meta(description="What left, as it was sent, kept for the customer.")] = (
        LogKeeping()
    )
    delivery: Annotated[Delivery, Meta(description="Times of delivery.")] = Delivery()
    report: Annotated[Duration, Meta(description="Time between two records about the agent itself.", gt=0)] = Duration(
        60
    )
    log: Annotated[Level, Meta(description="Least level that is logged: debug, info, warning or error.")] = "info"

    def __post_init__(self) -> None:
        """Refuses what cannot work together.

        Raises:
            ValueError: (key, what), as `forewarn.settings.read` reports it.
            SettingError: devices that cannot hang together as they say, or whose credential there is none of.
        """
        for key, name in (("site", self.site), ("agent", self.agent)):
            if not _NAME.fullmatch(name):
                raise ValueError(key, f"`{key}` is letters, digits, `.`, `_` and `-`, not `{name}`")
        if self.secret is None and self.secret_file is None:
            raise ValueError("secret", "`secret` or `secret_file` is missing: `forewarn collector add-agent` prints it")
        if self.secret is not None and self.secret_file is not None:
            raise ValueError("secret_file", "`secret` and `secret_file` are both given, one is enough")
        if self.secret is not None and not self.secret.reveal():
            raise ValueError("secret", "`secret` is empty")
        for trusted in self.trusted_keys:
            if not _KEY.fullmatch(trusted):
                raise ValueError("trusted_keys", f"a public key is 64 hexadecimal digits, not `{trusted}`")
        # From here on every device stands with its own credentials, wherever it is used and wherever it is written.
        msgspec.structs.force_setattr(self, "devices", credited([*self.devices, *self._more()], self.credentials))
        self._check_names()
        for wanted in self.traps.credentials:
            if wanted not in self.credentials:
                what = f"there is no credential `{wanted}`{nearest(wanted, self.credentials)}"
                raise SettingError([wanted.wrong(what)])

    def _more(self) -> list[Target]:
        """The devices of `devices_folder`."""
        if self.devices_folder is None:
            return []
        if not self.devices_folder.is_dir():
            # Left unsaid, a slip of the pen would leave its devices unwatched.
            raise ValueError(
                "devices_folder", f"there is no folder {self.devices_folder}: make it, or leave this key out"
            )
        return folders.found(self.devices_folder)

    def _check_names(self) -> None:
        seen = {self.agent: "the agent itself"}
        if self.host.enabled:
            seen[self.host_name] = "this host"
        for device in self.devices:
            if device.name in seen:
                raise ValueError("devices", f"`{device.name}` names {seen[device.name]} already")
            seen[device.name] = "another device"
        wrongs = links.mistakes(self.linked)
        if wrongs:
            raise SettingError(wrongs)

    @property
    def linked(self) -> dict[str, msgspec.Struct]:
        """By name: everything that may hang on something."""
        mine: dict[str, msgspec.Struct] = {self.host_name: self.host} if self.host.enabled else {}
        return mine | {device.name: device for device in self.devices}

    @property
    def host_name(self) -> str:
        """The device that this machine is."""
        return self.host.name or f"{self.agent}.host"

    @property
    def consent_file(self) -> Path:
        """Where the signed consent is."""
        return self.consent or self.folder / CONSENT

    def revealed(self) -> str:
        """The secret itself.

        Raises:
            OSError: its file cannot be read.
        """
        if self.secret is not None:
            return self.secret.reveal()
        assert self.secret_file is not None
        return self.secret_file.read_text(encoding="utf-8").partition("\n")[0].strip()

    def as_user(self) -> Broker:
        """The broker, with the user and password that follow from agent and secret unless others are given.

        Raises:
            OSError: the file of the secret cannot be read.
        """
        if self.broker.user:
            return self.broker
        password = Secret(signals.derive(self.revealed(), "mqtt"))
        return msgspec.structs.replace(self.broker, user=self.agent, password=password)


def load(path: Path, env: Mapping[str, str] | None = None) -> Settings:
    """Reads `agent.yaml`, overridden by the environment.

    Raises:
        SettingError: with everything that is wrong.
    """
    return read_file(Settings, path, env=env, prefix=ENVIRONMENT)
