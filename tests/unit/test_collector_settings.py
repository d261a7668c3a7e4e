"""What a person reads when collector.yaml says something that cannot be done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector.settings import ENVIRONMENT, Influxdb, Role, Settings, Smtp, Webhook
from forewarn.bus import Broker, Tls
from forewarn.sample import sample
from forewarn.settings import SettingError, read

LEAST = "folder: data\nbroker: {host: b}\n"


def given(text: str, **env: str) -> Settings:
    return read(Settings, LEAST + text, "collector.yaml", env=env, prefix=ENVIRONMENT)


def wrong(text: str) -> str:
    with pytest.raises(SettingError) as refused:
        given(text)
    return str(refused.value)


def test_folder_and_broker_are_enough() -> None:
    settings = given("")
    assert (settings.role, settings.api.host, settings.api.port) == (Role.ALL, "127.0.0.1", 8080)
    assert (settings.database.address(), settings.series.store, settings.notices.smtp) == (None, "duckdb", None)


def test_a_section_with_nothing_in_it_has_its_defaults() -> None:
    assert given("api:\nseries:\n").api.port == 8080


def test_the_environment_overrides_the_file() -> None:
    assert given("api: {port: 1}\n", FOREWARN_COLLECTOR__API__PORT="9090").api.port == 9090


def test_the_environment_of_an_agent_on_the_same_machine_is_left_alone() -> None:
    assert given("", FOREWARN_AGENT__SECRET="x", FOREWARN_AGENT__BROKER__HOST="other").broker.host == "b"
    assert str(given("", FOREWARN_COLLECTOR__FOLDER="elsewhere").folder) == "elsewhere"


def test_the_sample_is_read_back_as_printed_and_with_one_mark_taken_off_each_line() -> None:
    printed = read(Settings, sample(Settings), "sample")
    assert (str(printed.folder), printed.broker.host) == ("/var/lib/forewarn", "127.0.0.1")
    assert printed == Settings(folder=Path("/var/lib/forewarn"), broker=Broker(host="127.0.0.1"))
    plain = read(Settings, re.sub(r"^( *)# ", r"\1", sample(Settings), flags=re.MULTILINE), "sample")
    assert plain.journal == printed.journal
    assert plain.series.duckdb == printed.series.duckdb
    assert plain.broker.tls == Tls()


@pytest.mark.parametrize("section", [Influxdb, Smtp, Webhook])
def test_a_section_without_a_default_is_shown_so_that_it_can_be_read(section: type[Influxdb | Smtp | Webhook]) -> None:
    assert isinstance(read(section, sample(section), "sample"), section)


def test_a_section_opened_with_nothing_in_it_is_not_left_out() -> None:
    assert read(Settings, "folder: d\nbroker:\n  host: b\n  tls:\n", "c").broker.tls == Tls()
    assert read(Settings, "folder: d\nbroker: {host: b, tls: null}\n", "c").broker.tls is None
    assert wrong("notices:\n  smtp:\n").startswith("collector.yaml:4:8: `host` is missing in `smtp`")


@pytest.mark.parametrize("role", ["ingest", "web"])
def test_split_roles_name_what_they_need(role: str) -> None:
    assert wrong(f"role: {role}\n") == (
        f"collector.yaml:3:7: `role: {role}` needs PostgreSQL (`database.url`) and InfluxDB (`series.store: influxdb`): "
        "SQLite and DuckDB files belong to one process, which runs `role: all`"
    )


def test_split_roles_run_on_servers() -> None:
    settings = given(
        "role: ingest\ndatabase: {url: 'postgresql://u@h/d'}\n"
        "series: {store: influxdb, influxdb: {url: 'http://127.0.0.1:8086'}}\n"
    )
    assert settings.database.address() == "postgresql+psycopg://u@h/d"


def test_a_database_that_is_not_postgresql_is_refused() -> None:
    assert wrong("database: {url: mysql://h/d}\n") == (
        "collector.yaml:3:17: `url` is an address like postgresql://user:password@host/name"
    )


def test_influxdb_without_its_section_is_refused() -> None:
    expected = "collector.yaml:3:17: `store: influxdb` needs the section `influxdb` with its `url`"
    assert wrong("series: {store: influxdb}\n") == expected


def test_a_secret_comes_from_a_file_without_its_newline(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:p@h/d\n")
    settings = given(f"database: {{url_file: {tmp_path}/url}}\n")
    assert settings.database.address() == "postgresql+psycopg://u:p@h/d"


def test_a_secret_file_that_cannot_be_read_or_is_empty_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert "`url_file`" in wrong(f"database: {{url_file: {missing}}}\n")
    assert "cannot be read: No such file or directory" in wrong(f"database: {{url_file: {missing}}}\n")
    missing.write_text("\n")
    assert "`url_file` is empty" in wrong(f"database: {{url_file: {missing}}}\n")


def test_a_secret_given_twice_is_refused() -> None:
    text = "notices: {webhook: {url: 'https://h', secret: s, secret_file: f}}\n"
    assert "`secret` and `secret_file` are both given, one is enough" in wrong(text)


def test_a_webhook_without_a_key_is_refused() -> None:
    text = "notices: {webhook: {url: 'https://h'}}\n"
    assert "`secret` or `secret_file` is missing: an unsigned notice proves nothing" in wrong(text)


def test_no_setting_prints_its_secret() -> None:
    text = "database: {url: 'postgresql://u:hush@h/d'}\nnotices: {webhook: {url: 'https://h', secret: hush}}\n"
    assert "hush" not in repr(given(text))
