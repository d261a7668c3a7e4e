"""`forewarn collector doctor`: each trouble made for real, and the line that a person reads of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import insert, text

from collector import broker_files
from collector.doctor.look import look
from collector.notify.outbox import Outbox
from collector.register import Register
from collector.series.influx import InfluxStore
from collector.settings import Influxdb
from collector.storage import tables
from collector.storage.database import Databases, open_postgres, open_sqlite
from collector.tickets.book import Book
from forewarn.consent import document, instant
from forewarn.settings import Secret
from forewarn.wire import Reason
from tests import servers
from tests.blocks import PUBLIC, Script, consent
from tests.doctoring import Told, another_account, told
from tests.findings import finding
from tests.receivers import knows, mailbox, receiver

DAY = 86_400_000


class House:
    """A collector's folder, as the working folder; nothing runs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker: dict[str, Any] = {"host": "127.0.0.1", "port": servers.free_port()}
        self.settings: dict[str, Any] = {
            "folder": "data",
            "broker": self.broker,
            "api": {"port": servers.free_port()},
            "rules": {"library": False},
        }

    def databases(self) -> Databases:
        """Migrated, as a run has left them."""
        databases = open_sqlite(self.folder / "data")
        databases.migrate()
        return databases

    def look(self) -> Told:
        file = self.folder / "collector.yaml"
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(self.settings))
        return told(look, "collector.yaml")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.chdir(tmp_path)
    return House(tmp_path)


@contextlib.contextmanager
def guarded(house: House, acl: str = "") -> Iterator[servers.Mosquitto]:
    """A broker with the files of `broker-files`; with `acl` in the place of its access list."""
    files = broker_files.write(house.folder / "files", {}, user="collector")
    if acl:
        files.acl.write_text(acl)
    lines = ["allow_anonymous false", f"password_file {files.passwords}", f"acl_file {files.acl}"]
    with servers.mosquitto(house.folder / "mosquitto", *lines) as running:
        house.broker |= {"port": running.port, "user": "collector", "password_file": str(files.password)}
        yield running


def test_before_the_first_start_nothing_fails_but_the_broker_and_nothing_is_made(house: House) -> None:
    found = house.look()
    port = house.broker["port"]
    found.fails("broker", f"nothing listens at 127.0.0.1:{port}", "start it there")
    assert len(found.failing()) == 1
    found.well("folder data", "is not there yet; the first start makes it")
    for name in ("journal", "service"):
        found.well(f"database {name}", "is not there yet; the first start makes it")
    found.well("series store", "is not there yet")
    found.well("port 127.0.0.1:", "is free")
    found.warns("collector", "does not answer at", "`forewarn collector run` starts it")
    found.warns("rules", "no ticket will ever open", "set `rules.library: true`")
    assert [path.name for path in house.folder.iterdir()] == ["collector.yaml"]


def test_the_broker_lets_the_collector_in_and_write_acknowledgements(house: House) -> None:
    with guarded(house):
        found = house.look()
        assert found.failing() == []
        found.well("broker", "accepts `collector`")
        found.well("broker", "lets `collector` write what it has to")
        (house.folder / "wrong").write_text("wrong")
        house.broker["password_file"] = "wrong"
        house.look().fails("broker", "does not accept `collector` with its password", "broker-files DIR")
        house.broker["password_file"] = str(house.folder / "nowhere")
        house.look().fails("broker", "nowhere cannot be read", "correct the path")


def test_an_access_list_without_the_collector_s_topics_is_found_before_agents_wait_for_answers(house: House) -> None:
    with guarded(house, "user collector\ntopic read fw/1/t/#\n"):
        house.look().fails("broker", "does not let `collector` write fw/1/k/forewarn.doctor", "access list")


def test_where_a_collector_is_at_work_nobody_else_logs_in(house: House) -> None:
    databases = house.databases()
    with databases.journal.begin() as connection:
        connection.execute(insert(tables.entry).values(arrived=int(time.time() * 1000)))
    databases.close()
    with guarded(house) as broker:
        found = house.look()
        found.well("broker", "in the last half minute: its login is left alone")
        assert "as forewarn-doctor" not in (broker.folder / "log").read_text()
        assert "collector-doctor" not in (broker.folder / "log").read_text()


def test_databases_of_this_an_older_and_a_newer_schema_are_told_apart_and_left_alone(house: House) -> None:
    databases = house.databases()
    found = house.look()
    found.well("database journal", "no damage")
    found.well("database service", "no damage")
    for revision, check in (("001", Told.warns), ("999", Told.fails)):
        with databases.service.begin() as connection:
            connection.execute(text("UPDATE revision SET version_num = :to"), {"to": revision})
        words = {"001": ("of an older forewarn", "the next start changes it")}
        check(
            house.look(),
            "database service",
            *words.get(revision, ("of a newer forewarn", "bring this program up to date")),
        )
    with databases.service.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM revision")).scalar() == "999"
    databases.close()


def test_a_damaged_database_is_named_with_what_is_lost_with_it(house: House) -> None:
    house.databases().close()
    file = house.folder / "data" / "service.db"
    with file.open("r+b") as out:
        out.seek(8192)
        out.write(b"\xff" * 16384)
    house.look().fails("database service", "service.db is damaged", "put your last backup in its place: its tickets")
    file.write_bytes(b"no database at all" * 500)
    house.look().fails("database service", "file is not a database", "backup")


def test_a_database_of_another_account_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as open_to_all:
        place = Path(open_to_all)
        place.chmod(0o755)
        open_sqlite(place / "data").migrate()
        (place / "data" / "service.db").chmod(0o000)
        (place / "collector.yaml").write_text(yaml.safe_dump(house.settings))
        monkeypatch.chdir(place)
        with another_account():
            found = told(look, "collector.yaml")
        monkeypatch.chdir(house.folder)
    found.fails("database service", "cannot be read (unable to open database file)", "as the collector's account")


def test_postgresql_is_named_with_its_version_and_what_keeps_us_out(house: House, postgres_server: str) -> None:
    address = servers.new_database(postgres_server)
    plain = address.replace("+psycopg", "")
    house.settings["database"] = {"url": plain}
    found = house.look()
    found.well("database", "PostgreSQL 1")
    found.well("database journal", "empty, the first start makes its tables")
    databases = open_postgres(address)
    databases.migrate()
    databases.close()
    house.look().well("database service", "schema service")
    house.settings["database"]["url"] = plain + "x"
    house.look().fails("database", "does not exist", "createdb")
    house.settings["database"]["url"] = plain.replace("forewarn@", "nobody@")
    house.look().fails("database", 'role "nobody" does not exist', "correct user and password")
    port = servers.free_port()
    house.settings["database"]["url"] = f"postgresql://forewarn:hidden@127.0.0.1:{port}/forewarn"
    found = house.look()
    found.fails("database", f"PostgreSQL at 127.0.0.1:{port}/forewarn", "start PostgreSQL there")
    assert "hidden" not in "\n".join(map(str, found))


def test_a_user_of_postgresql_who_may_not_make_schemas_is_told_the_grant(house: House, postgres_server: str) -> None:
    address = servers.new_database(postgres_server)
    engine = open_postgres(address).service
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("DROP ROLE IF EXISTS guest"))
        connection.execute(text("CREATE ROLE guest LOGIN"))
    engine.dispose()
    house.settings["database"] = {"url": address.replace("+psycopg", "").replace("forewarn@", "guest@")}
    house.look().fails("database", "`guest` may not make the schemas", "GRANT CREATE ON DATABASE")


_HOLD = """
import sys, time
from pathlib import Path
from collector.series.duck import DuckStore
store = DuckStore(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
store.close()
"""


def test_a_duckdb_file_is_counted_when_it_is_free_and_its_holder_named_when_it_is_not(house: House) -> None:
    file = house.folder / "data" / "series.duckdb"
    command = [sys.executable, "-c", _HOLD, str(file)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == "open\n"
        house.look().fails("series store", "lock on file", "a DuckDB file belongs to one collector")
        held.communicate("\n", timeout=30)
    house.look().well("series store", "0 series in 0 days")
    file.write_bytes(b"not a database" * 1000)
    house.look().fails("series store", "series.duckdb cannot be opened", "made again from the journal")


def test_influxdb_is_named_with_its_version_and_the_rights_it_gives(house: House, influxdb_port: int) -> None:
    there = Influxdb(url=f"http://127.0.0.1:{influxdb_port}", bucket="doctored")
    store = InfluxStore(there)
    house.settings["series"] = {"store": "influxdb", "influxdb": {"url": there.url, "bucket": "doctored"}}
    found = house.look()
    found.well("series store", "InfluxDB 1.")
    assert [each for each in found.failing() if "has no `doctored`: make it" in each or "database not found" in each]
    store._ask(["CREATE DATABASE doctored"])
    house.look().well("series store", "lets us read and write `doctored`")
    assert store._ask(["SHOW MEASUREMENTS"]) == [[]], "nothing was written"
    store.close()
    house.settings["series"]["influxdb"]["url"] = f"http://127.0.0.1:{servers.free_port()}"
    house.look().fails("series store", "is not reached", "correct `series.influxdb.url`")


def test_a_victoria_metrics_in_its_place_is_taken_for_what_it_is(house: House, victoria_port: int) -> None:
    house.settings["series"] = {"store": "influxdb", "influxdb": {"url": f"http://127.0.0.1:{victoria_port}"}}
    found = house.look()
    found.well("series store", "a server that tells no version")
    found.well("series store", "lets us read and write `forewarn`")


def test_an_influxdb_user_who_may_only_read_is_found(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFLUXDB_HTTP_AUTH_ENABLED", "true")
    with servers.influxdb(tmp_path / "influx") as port:
        url = f"http://127.0.0.1:{port}"
        root = InfluxStore(Influxdb(url=url, bucket="forewarn"))
        root._ask(["CREATE USER chief WITH PASSWORD 'chief' WITH ALL PRIVILEGES"])
        root.close()
        chief = InfluxStore(Influxdb(url=url, bucket="forewarn", token=Secret("chief:chief")))
        chief._ask(
            ["CREATE DATABASE forewarn", "CREATE USER guest WITH PASSWORD 'guest'", "GRANT READ ON forewarn TO guest"]
        )
        chief.close()
        house.settings["series"] = {"store": "influxdb", "influxdb": {"url": url, "token": "guest:guest"}}
        found = house.look()
        house.settings["series"]["influxdb"]["token"] = "guest:wrong"
        stranger = house.look()
    found.fails("series store", "does not accept the token (403)", "let the token write the bucket")
    assert len(found.failing()) == 2, "this and the broker"
    stranger_fails = [each for each in stranger.failing() if "does not accept the token (401)" in each]
    assert len(stranger_fails) == 2
    assert "guest:wrong" not in "\n".join(map(str, stranger))


RULE = """
- id: mine.one
  on: {table: volume, device: recorder}
  when: {warning: used_percent > LIMIT}
  recover: {when: used_percent < 50}
  ticket:
    title: {zh: "满", en: "full"}
    advice: {zh: "扩容", en: "extend"}
  tests:
    - name: ninety is too much
      series: {"nvr1 volume 1 used_percent": "90x5"}
      expect: [{at: 4m, open: [{device: nvr1}]}]
"""


def test_a_wrong_rule_and_one_that_fails_its_own_test_are_named(house: House) -> None:
    (house.folder / "own").mkdir()
    rule = house.folder / "own" / "mine.yaml"
    house.settings["rules"] = {"library": False, "folders": ["own"]}
    rule.write_text(RULE.replace("LIMIT", "80"))
    found = house.look()
    found.well("rules", "1 rules")
    found.well("rules", "1 tests beside them pass")
    rule.write_text(RULE.replace("LIMIT", "95"))
    house.look().fails("rules", "mine.one: ninety is too much", "`forewarn rules test FOLDER`")
    rule.write_text(RULE.replace("table: volume", "table: volum").replace("LIMIT", "80"))
    found = house.look()
    assert [each for each in found.failing() if "own/mine.yaml:3:15: " in each and "`volume`" in each], found.failing()


def test_a_rule_for_a_kind_of_device_nobody_has_is_only_a_note(house: House) -> None:
    databases = house.databases()
    house.settings["rules"] = {"library": True}
    device = {"site": "s1", "agent": "a1", "profile": "p", "inventory": {}, "first_seen": 1, "last_seen": 1}
    with databases.service.begin() as connection:
        connection.execute(insert(tables.device).values(**device, device="ups1", kind="ups"))
    databases.close()
    noted = house.look().about("rules")[-1].what
    assert noted.startswith("no device yet of the kinds ")
    assert "recorder" in noted
    assert "ups" not in noted


def smtp(port: int, **more: Any) -> dict[str, Any]:
    return {"smtp": {"host": "127.0.0.1", "port": port, "sender": "f@example.com", "to": ["d@example.com"], **more}}


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_mail_server_is_tried_up_to_the_login_and_gets_no_mail(house: House) -> None:
    with mailbox(authenticator=knows("u", "right"), auth_required=True, auth_require_tls=False) as box:
        house.settings["notices"] = smtp(box.port, security="none", user="u", password="right")
        house.look().well("mail", "takes `u`")
        house.settings["notices"] = smtp(box.port, security="none", user="u", password="wrong")
        found = house.look()
        found.fails("mail", "535", "correct `notices.smtp.user` and its password")
        assert "wrong" not in "\n".join(map(str, found.about("mail")))
        house.settings["notices"] = smtp(box.port)
        house.look().fails("mail", "STARTTLS extension not supported", "see `security` (starttls)")
        assert box.mails == []
    house.settings["notices"] = smtp(box.port)
    house.look().fails("mail", "nothing listens at 127.0.0.1", "correct `notices.smtp.port`")


def test_a_webhook_is_reached_and_nothing_posted(house: House) -> None:
    hook = {"secret": "s"}
    with receiver() as kept:
        house.settings["notices"] = {"webhook": {"url": f"http://127.0.0.1:{kept.port}/in", **hook}}
        house.look().well("webhook 127.0.0.1", "answers; nothing was posted")
        assert kept.asked == 0
        house.settings["notices"] = {"webhook": {"url": f"https://127.0.0.1:{kept.port}/in", **hook}}
        house.look().fails("webhook", "does not shake hands for TLS", "notices.webhook")
    house.settings["notices"] = {"webhook": {"url": f"http://127.0.0.1:{kept.port}/in", **hook}}
    house.look().fails("webhook", "nothing listens", "start it there")


def test_notices_that_wait_are_counted_with_the_reason(house: House) -> None:
    databases, now = house.databases(), int(time.time() * 1000)
    early = now - 2 * 3_600_000
    book = Book(databases.service, now=lambda: early, teller=Outbox(["smtp"], now=lambda: early))
    with databases.service.begin() as connection:
        book.apply([finding(position=1)], 1, connection)
        connection.execute(tables.outbox.update().values(why="mail server is on holiday", attempts=1))
    databases.close()
    words = "1 notice waits for smtp, the oldest since 2 h: mail server is on holiday"
    house.look().warns("outbox", words, "set `notices.smtp` again")
    house.settings["notices"] = smtp(servers.free_port())
    house.look().warns("outbox", words, "see `smtp` above")


def test_a_port_that_another_program_has_is_named_and_a_session_key_that_others_can_read(house: House) -> None:
    with receiver() as other:
        house.settings["api"]["port"] = other.port
        found = house.look()
    found.warns("collector", "(what answers is no collector)", "`forewarn collector run` starts it")
    found.fails("port 127.0.0.1:", "another program has it", "set `api.port` to another")
    house.databases().close()
    key = house.folder / "data" / "console.secret"
    key.touch()
    house.look().fails("console", "console.secret is empty", "delete it")
    key.write_text("00" * 32)
    key.chmod(0o644)
    house.look().warns("console", "can be read by others", "chmod 600 ")
    key.chmod(0o600)
    house.look().well("console", "kept to this account")


def fleet(house: House, now: int) -> None:
    """Five agents: one never heard, one silent, one held, one with a wrong clock, one as it should be."""
    databases = house.databases()
    register = Register(databases)
    register.add_site("s1", "One")
    register.add_site("s2", "Two")
    lasting = consent(valid_from=instant(now - DAY), valid_until=instant(now + 10 * DAY))
    register.add_consent(document(lasting), key=PUBLIC)
    for agent in ("never", "gone", "held", "fast", "well"):
        register.add_agent("s2" if agent == "held" else "s1", agent)
    heard = {"gone": now - 2 * 3_600_000, "held": now, "fast": now, "well": now}
    with databases.journal.begin() as connection:
        for agent, at in heard.items():
            reason = f"{Reason.UNKNOWN_CONSENT}: consent `c-9` is not registered" if agent == "held" else ""
            connection.execute(insert(tables.ingest).values(agent=agent, epoch="E1", heard=at, held_reason=reason))
            payload = Script(agent).poll(1).block(1, 1, sent=at + (420_000 if agent == "fast" else 0))
            row = {"agent": agent, "epoch": "E1", "first": 1, "last": 1, "payload": payload}
            connection.execute(insert(tables.entry).values(**row, shard=0, site="s1", arrived=at))
        connection.execute(insert(tables.entry).values(arrived=now))
    databases.close()


def test_agents_that_need_somebody_are_named_by_what_is_the_matter(house: House) -> None:
    fleet(house, int(time.time() * 1000))
    found = house.look()
    found.well("agents", "2 of 5 heard and taken")
    found.warns("agents", "1 never heard: never", "`forewarn agent run`")
    found.warns("agents", "1 silent: gone (2 h)", "the site's line")
    found.warns(
        "agents", "1 held for unknown_consent: consent `c-9` is not registered: held", "add-consent consent.json"
    )
    found.warns("agents", "1 with a wrong clock: fast (7 min ahead)", "NTP")
    found.warns("consents", "none in force for s2", "the customer signs one")
    found.warns("consents", "end within 30 days: s1 (", "sign the next one")
    found.warns("tokens", "nobody can log in", "forewarn collector add-token NAME")
    assert "gone" not in "".join(each.what for each in found.about("agents") if "clock" in each.what)


def test_what_a_stopped_collector_did_not_hear_is_nobody_s_silence(house: House) -> None:
    fleet(house, int(time.time() * 1000) - 3 * DAY)
    found = house.look()
    found.warns("agents", "1 silent: gone (2 h)", "the site's line")
    assert found.about("agents")[0].what == "2 of 5 heard and taken"
