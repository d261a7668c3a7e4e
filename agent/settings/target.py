"""One device to poll, as it stands in the agent's settings."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from agent.settings import links
from agent.settings.credential import Access, Credential, revealed
from agent.settings.login import Login
from agent.settings.probes import ProbeSetting
from forewarn.settings import Duration, Mark, Marked, Secret, SettingError, Wrong
from forewarn.vocabulary import DeviceKind, nearest

INTERVAL = Duration(60)
"""Between two polls where neither settings nor profile say it. This very object means that the settings do not."""


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One device to poll. Its address is an IP address, because a consent is given for addresses, not for names."""

    name: Annotated[str, msgspec.Meta(description="What people call it; unique on the site.", examples=["cam-gate-1"])]
    address: Annotated[str, msgspec.Meta(description="Its IP address, within the consent.", examples=["192.168.1.64"])]
    port: Annotated[int, msgspec.Meta(description="UDP port of its SNMP agent.", ge=1, le=65535)] = 161
    community: Annotated[Secret, msgspec.Meta(description="SNMP v2c community, read only.")] = Secret("public")
    community_file: Annotated[
        Path | None, msgspec.Meta(description="A file that holds the community instead, first line.")
    ] = None
    credential: Annotated[
        Marked | None, msgspec.Meta(description="Or one of `credentials`, by its name.", examples=["floor2"])
    ] = None
    snmp: Annotated[
        Credential | None, msgspec.Meta(description="Or its own credentials, where a community is not enough.")
    ] = None
    use_snmp: Annotated[
        bool, msgspec.Meta(description="false: it has no SNMP, and is read by its probes, ISAPI or ONVIF alone.")
    ] = True
    kind: Annotated[
        DeviceKind | None, msgspec.Meta(description="What it is, for a device without SNMP that does not tell.")
    ] = None
    probes: Annotated[
        list[ProbeSetting],
        msgspec.Meta(
            description="Does it answer: icmp, tcp, http, rtsp, ntp; see docs/probes.md. The consent grants `probe`.",
            examples=[[{"icmp": True}, {"tcp": 554}]],
        ),
    ] = []
    isapi: Annotated[
        Login | None, msgspec.Meta(description="Hikvision's HTTP interface, read only. The consent grants `isapi`.")
    ] = None
    onvif: Annotated[
        Login | None, msgspec.Meta(description="Its ONVIF services, read only. The consent grants `onvif`.")
    ] = None
    profile: Annotated[
        str | None, msgspec.Meta(description="Fixes how it is polled; found by itself when left out.")
    ] = None
    interval: Annotated[
        Duration, msgspec.Meta(description="Time between two polls; left out, as its profile says, mostly this.", gt=0)
    ] = INTERVAL
    timeout: Annotated[Duration, msgspec.Meta(description="How long an answer may take.", gt=0)] = Duration(2)
    retries: Annotated[int, msgspec.Meta(description="How often a request is sent again.", ge=0, le=10)] = 2
    switch: links.Switch = None
    switch_port: links.SwitchPort = None
    recorder: links.Recorder = None
    recorder_channel: links.RecorderChannel = None
    ups: links.Supply = None

    def __post_init__(self) -> None:
        """Refuses a host name.

        Raises:
            ValueError: (key, what), as `forewarn.settings.read` reports it.
        """
        try:
            ipaddress.ip_address(self.address)
        except ValueError:
            what = f"`{self.address}` is no IP address: a consent covers addresses, so a device is named by its own"
            raise ValueError("address", what) from None
        if self.credential is not None and self.snmp is not None:
            raise ValueError("credential", "`credential` and `snmp` are both given, one is enough")
        self._check_sources()

    def _check_sources(self) -> None:
        if not self.use_snmp:
            for key in ("credential", "snmp", "community_file", "profile"):
                if getattr(self, key) is not None:
                    raise ValueError(key, f"`{key}` is for SNMP, and `use_snmp` is false")
            if not self.probes and self.isapi is None and self.onvif is None:
                raise ValueError("use_snmp", "without SNMP it needs `probes`, `isapi` or `onvif`")
        labels = [probe.label for probe in self.probes]
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise ValueError("probes", f"two probes are called `{twice}`: give one of them a `name`")

    def access(self) -> Access:
        """How its SNMP agent is spoken to, secrets and all.

        Raises:
            OSError: a file that holds a secret cannot be read.
        """
        return (self.snmp or Credential()).access(revealed(self.community, self.community_file))


def credited(devices: Sequence[Target], credentials: Mapping[str, Credential]) -> list[Target]:
    """The devices with their named credentials in `snmp`.

    Raises:
        SettingError: a name there is no credential of.
    """
    wrongs: list[Wrong] = []
    found: list[Target] = []
    for device in devices:
        name = device.credential
        if name is None or name in credentials:
            named = credentials[name] if name is not None else device.snmp
            found.append(msgspec.structs.replace(device, snmp=named, credential=None))
            continue
        mark = name.mark if isinstance(name, Marked) else Mark("credential", 1, 1)
        wrongs.append(Wrong(mark, f"there is no credential `{name}`{nearest(name, credentials)}"))
    if wrongs:
        raise SettingError(wrongs)
    return found
