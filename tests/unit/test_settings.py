"""A file that people write is read whole, or every mistake in it is named with its place and the nearest word."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn.sample import sample
from forewarn.settings import Duration, Marked, Secret, SettingError, Size, read, read_file


class Level(StrEnum):
    INFO = "info"
    WARNING = "warning"


class Broker(msgspec.Struct, frozen=True):
    host: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 1883
    password: Secret | None = None
    tls: bool = False


class Device(msgspec.Struct, frozen=True):
    name: str
    address: str
    community: Secret = Secret("public")
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.address == "nowhere":
            raise ValueError("address", "`nowhere` is no address")
        if self.name == "x":
            raise ValueError("a device named `x` says nothing")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    site: Marked
    broker: Broker
    interval: Duration = Duration(60)
    keep: Size = Size(1024)
    level: Level = Level.INFO
    role: Literal["all", "web"] = "all"
    folder: Path = Path("state")
    devices: list[Device] = []
    labels: dict[str, float] = {}
    timeout: Duration | None = None
    free: Any = None


GOOD = """\
site: north
broker:
  host: mqtt.example
"""


def wrongs(text: str, **more: Any) -> list[str]:
    with pytest.raises(SettingError) as caught:
        read(Wanted, text, "agent.yaml", **more)
    return str(caught.value).splitlines()


def test_a_file_is_read_into_typed_values() -> None:
    more = """\
interval: 90s
keep: 2MiB
level: warning
role: web
folder: /var/lib/x
timeout: 250ms
labels: {a: 1, b: 2.5}
free: [1, {x: y}]
devices:
  - {name: cam1, address: 10.0.0.1, community: 1234}
"""
    got = read(Wanted, GOOD + more, "agent.yaml")
    assert (got.interval, got.keep, got.level, got.role) == (90.0, 2 * 1024**2, Level.WARNING, "web")
    assert (got.folder, got.timeout, got.labels) == (Path("/var/lib/x"), 0.25, {"a": 1.0, "b": 2.5})
    assert got.free == [1, {"x": "y"}]
    assert got.devices[0].community.reveal() == "1234"
    assert str(got.site.mark) == "agent.yaml:1:7"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "agent.yaml:1:1: the file is empty"),
        ("- a\n", "agent.yaml:1:1: `` is a mapping"),
        ("site: [\n", "agent.yaml:2:1: not YAML:"),
        ("\nsite: \x07\n", "agent.yaml:2:1: not YAML: unacceptable character #x0007"),
        ("a: " + "[" * 20_000, "agent.yaml:1:53: nested deeper than 50"),
        (GOOD + "intervall: 60s\n", "agent.yaml:4:1: unknown key `intervall`; did you mean `interval`?"),
        (GOOD + "zebra: 1\n", "agent.yaml:4:1: unknown key `zebra`"),
        (GOOD + "site: south\n", "agent.yaml:4:1: `site` is given twice"),
        (GOOD + "[a, b]: 1\n", "agent.yaml:4:1: a key is a plain word"),
        (GOOD + "interval: 60\n", "agent.yaml:4:11: `interval`: a duration is written like 250ms, 30s, 5m, 72h or 30d"),
        (GOOD + "interval: 3 weeks\n", "agent.yaml:4:11: `interval`: a duration is written like"),
        (GOOD + "keep: 3 bananas\n", "agent.yaml:4:7: `keep`: a size is written like 64KiB, 500MiB or 2GiB"),
        (GOOD + "level: warnin\n", "agent.yaml:4:8: `level`: `warnin` is none of `info`, `warning`; did you mean"),
        (GOOD + "role: ingest\n", "agent.yaml:4:7: `role`: `ingest` is none of `all`, `web`"),
        (GOOD + "devices: cam1\n", "agent.yaml:4:10: `devices` is a list"),
        (GOOD + "labels: [a]\n", "agent.yaml:4:9: `labels` is a mapping of names to values"),
        (GOOD + "labels: {a: b}\n", "agent.yaml:4:13: `a` is a number"),
        (GOOD + "folder: [a]\n", "agent.yaml:4:9: `folder` is a path, not a list"),
        ("site: ~\nbroker: {host: a}\n", "agent.yaml:1:7: `site` is text"),
        ("site: a\nbroker: {}\n", "agent.yaml:2:9: `host` is missing in `broker`"),
        ("site: a\nbroker:\n", "agent.yaml:2:8: `host` is missing in `broker`"),
        ("broker: {host: a}\n", "agent.yaml:1:1: `site` is missing"),
        ("site: a\nbroker: {host: a, port: 0}\n", "agent.yaml:2:25: `port` is at least 1, not 0"),
        ("site: a\nbroker: {host: a, port: 70000}\n", "agent.yaml:2:25: `port` is at most 65535, not 70000"),
        ("site: a\nbroker: {host: a, port: '1883'}\n", "agent.yaml:2:25: `port` is a whole number"),
        ("site: a\nbroker: {host: a, port: 1.5}\n", "agent.yaml:2:25: `port` is a whole number"),
        ("site: a\nbroker: {host: a, tls: 1}\n", "agent.yaml:2:24: `tls` is true or false"),
        ("site: a\nbroker: {host: a, port: {}}\n", "agent.yaml:2:25: `port` is a whole number, not a mapping"),
        (GOOD + "devices: [{name: a, address: nowhere}]\n", "agent.yaml:4:30: `nowhere` is no address"),
        (GOOD + "devices: [{name: x, address: b}]\n", "agent.yaml:4:11: a device named `x` says nothing"),
    ],
)
def test_a_mistake_is_named_with_line_and_column(text: str, says: str) -> None:
    assert wrongs(text)[0].startswith(says)


def test_every_mistake_is_told_in_the_order_of_the_file() -> None:
    found = wrongs("sit: a\nbroker: {prot: 1}\nlevel: loud\n")
    assert [line.split(" ")[0] for line in found] == [
        "agent.yaml:1:1:",
        "agent.yaml:1:1:",
        "agent.yaml:2:9:",
        "agent.yaml:2:10:",
        "agent.yaml:3:8:",
    ]


def test_a_marked_string_points_into_itself() -> None:
    got = read(Wanted, GOOD.replace("north", "'north'"), "agent.yaml")
    assert str(got.site.wrong("here", 2)) == "agent.yaml:1:10: here"


def test_the_environment_overrides_the_file_in_the_type_of_the_setting() -> None:
    env = {
        "FOREWARN_BROKER__PORT": "8883",
        "FOREWARN_BROKER__TLS": "true",
        "OTHER_BROKER__HOST": "no",
        "FOREWARN_X": "",
    }
    got = read(Wanted, GOOD, "agent.yaml", env=env, prefix="FOREWARN_")
    assert (got.broker.port, got.broker.tls, got.broker.host) == (8883, True, "mqtt.example")


@pytest.mark.parametrize("password", ["a: b", "#x", "*star", "{", "[1, 2]", "'half", "007", "true", " led "])
def test_a_password_from_the_environment_is_taken_as_it_stands(password: str) -> None:
    env = {"FOREWARN_BROKER__PASSWORD": password}
    got = read(Wanted, GOOD, "agent.yaml", env=env, prefix="FOREWARN_")
    assert got.broker.password is not None
    assert got.broker.password.reveal() == password


def test_the_environment_can_give_a_section_the_file_leaves_out() -> None:
    env = {"FOREWARN_BROKER__HOST": "b"}
    for text in ("site: north\n", "site: north\nbroker:\n"):
        assert read(Wanted, text, "agent.yaml", env=env, prefix="FOREWARN_").broker.host == "b"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("FOREWARN_BROKER__PORT", "many", "$FOREWARN_BROKER__PORT:1:1: `port` is a whole number"),
        ("FOREWARN_BROKER__PORT", "[", "$FOREWARN_BROKER__PORT:1:1: `port` is a whole number"),
        ("FOREWARN_BROKER__PORT", "0", "$FOREWARN_BROKER__PORT:1:1: `port` is at least 1, not 0"),
        ("FOREWARN_BROKER__PROT", "1", "$FOREWARN_BROKER__PROT:1:1: unknown key `prot`; did you mean `port`?"),
        ("FOREWARN_BROKR__PORT", "1", "$FOREWARN_BROKR__PORT:1:1: unknown key `brokr`; did you mean `broker`?"),
        ("FOREWARN_SITE__NAME", "1", "$FOREWARN_SITE__NAME:1:1: `name` would lie in what the file gives as a list"),
    ],
)
def test_a_wrong_environment_variable_is_named(name: str, text: str, says: str) -> None:
    assert wrongs(GOOD, env={name: text}, prefix="FOREWARN_")[0].startswith(says)


def test_a_secret_is_never_printed() -> None:
    secret = Secret("hunter2")
    broker = Broker(host="a", password=secret)
    for shown in (str(secret), repr(secret), f"{secret}", f"{secret!s:>10}", f"{broker}", repr(broker)):
        assert "hunter2" not in shown
    assert secret.reveal() == "hunter2"
    found = wrongs("site: a\nbroker: {host: a, password: hunter2, port: none}\n")
    assert "hunter2" not in "\n".join(found)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"site: \xe9\n")
    with pytest.raises(SettingError, match=r"missing\.yaml:1:1: cannot be read: No such file or directory"):
        read_file(Wanted, tmp_path / "missing.yaml")
    with pytest.raises(SettingError, match=r"latin\.yaml:1:1: cannot be read: not UTF-8 text"):
        read_file(Wanted, tmp_path / "latin.yaml")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    for line in wrongs(text):
        assert line.startswith("agent.yaml:"), text


def test_a_file_nested_beyond_reason_is_refused() -> None:
    assert wrongs("a: " + "[" * 50_000 + "]" * 50_000) == ["agent.yaml:1:53: nested deeper than 50"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("30s", 30), ("1.5h", 5400), ("30d", 2_592_000), (" 5 m ", 300)]
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 parsecs", "5m30s", "1e3s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="a duration is written like"):
        Duration.parse(text)


class Documented(msgspec.Struct, frozen=True, kw_only=True):
    """A file with every form a sample shows."""

    site: Annotated[str, msgspec.Meta(description="The site's id.\nAsk the service company.", examples=["north"])]
    interval: Annotated[Duration, msgspec.Meta(description="Between two polls.")] = Duration(90)
    keep: Size = Size(500 * 1024**2)
    level: Level = Level.INFO
    broker: Annotated[Broker, msgspec.Meta(description="Where records go.")] = Broker(host="localhost")
    devices: list[str] = msgspec.field(default_factory=list)


def test_the_sample_is_prose_and_shows_every_key_with_its_default() -> None:
    assert sample(Documented).splitlines() == [
        "## The site's id.",
        "## Ask the service company.",
        "site: north",
        "## Between two polls.",
        "# interval: 90s",
        "# keep: 500MiB",
        "# level: info",
        "## Where records go.",
        "# broker:",
        "#   host: '...'",
        "#   port: 1883",
        "#   # password: null",
        "#   tls: false",
        "# devices: []",
    ]


def test_the_sample_is_a_valid_file_that_says_the_defaults() -> None:
    assert read(Documented, sample(Documented), "sample.yaml") == Documented(site="north")


def test_the_sample_with_its_comments_taken_off_says_the_same() -> None:
    lines = [line for line in sample(Documented).splitlines() if not line.startswith("##")]
    bare = "\n".join(line.removeprefix("# ").replace("  # ", "  ") for line in lines)
    got = read(Documented, bare, "sample.yaml")
    assert (got.interval, got.keep, got.broker.port, got.devices) == (90, 500 * 1024**2, 1883, [])


@given(st.integers(1, 10**9))
def test_a_duration_in_a_sample_reads_back(milliseconds: int) -> None:
    class One(msgspec.Struct):
        wait: Duration = Duration(milliseconds / 1000)

    text = sample(One).removeprefix("# ")
    assert read(One, text, "sample.yaml").wait == pytest.approx(milliseconds / 1000, rel=1e-5)
