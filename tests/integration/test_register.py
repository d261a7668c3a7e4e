"""The register: who is known, what was signed, and what the broker lets each of them do."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from collector.register import COLLECTOR_USER, Register, RegisterError
from collector.storage import tables
from collector.storage.database import Databases
from forewarn.consent import Consent, ConsentError, document, new_key, sign
from forewarn.signals import derive
from forewarn.vocabulary import Source
from tests import servers

PRIVATE, PUBLIC = new_key()


def consent(**changes: object) -> Consent:
    draft = Consent(
        id="c-1",
        site="s1",
        customer="Customer",
        signed_by="Person",
        scopes=[Source.SNMP],
        networks=["192.0.2.0/24"],
        valid_from="2026-01-01T00:00:00Z",
        valid_until="2027-01-01T00:00:00Z",
    )
    return sign(msgspec.structs.replace(draft, **changes), PRIVATE)


@pytest.fixture
def register(databases: Databases) -> Register:
    made = Register(databases, monotonic=iter(range(0, 1000, 2)).__next__)  # every look is a fresh one
    made.add_site("s1", "Site One")
    return made


def test_an_agent_gets_a_secret_and_the_least_used_shard(register: Register) -> None:
    for number in range(65):
        register.add_site(f"site{number}", "Site")
    enrolled = [register.add_agent(f"site{number}", f"a{number}") for number in range(65)]
    assert sorted(agent.shard for agent in enrolled[:64]) == list(range(64))
    assert len({agent.secret for agent in enrolled}) == 65
    known = register.known().agents["a3"]
    assert (known.site, known.shard, known.secret) == ("site3", enrolled[3].shard, enrolled[3].secret)
    assert known.secret not in repr(known)


def test_agents_of_a_site_share_a_shard_and_one_that_replaces_another_has_its_own(register: Register) -> None:
    register.add_site("s2", "Site Two")
    elsewhere = register.add_agent("s2", "b1")
    first, second = register.add_agent("s1", "a1"), register.add_agent("s1", "a2")
    assert (elsewhere.shard, first.shard, second.shard) == (0, 1, 1)
    register.retire_agent("a1")
    register.retire_agent("a2")
    assert register.add_agent("s1", "a3").shard == 1


def test_agents_added_at_once_do_not_share_a_shard(register: Register) -> None:
    for number in range(6):
        register.add_site(f"site{number}", "Site")
    threads = [threading.Thread(target=register.add_agent, args=(f"site{number}", f"a{number}")) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shards = [agent.shard for agent in register.known().agents.values()]
    assert sorted(shards) == list(range(6))


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#", "-a", "a" * 64, "a b", "a\n"])
def test_a_name_that_could_not_be_a_topic_is_refused(register: Register, name: str) -> None:
    with pytest.raises(RegisterError, match="cannot name a site"):
        register.add_site(name, "x")


def test_what_is_taken_or_missing_is_refused_with_what_to_do(register: Register) -> None:
    register.add_agent("s1", "a1")
    with pytest.raises(RegisterError, match="there is an agent `a1` already"):
        register.add_agent("s1", "a1")
    with pytest.raises(RegisterError, match="there is a site `s1` already"):
        register.add_site("s1", "again")
    with pytest.raises(RegisterError, match="add-site s9 NAME"):
        register.add_agent("s9")
    with pytest.raises(RegisterError, match="reserved"):
        register.add_agent("s1", "collector-2")
    with pytest.raises(RegisterError, match="no agent `a7`"):
        register.retire_agent("a7")
    with pytest.raises(RegisterError, match="no consent `c7`"):
        register.withdraw_consent("c7")


def test_a_retired_agent_is_not_known_and_its_shard_is_free(register: Register) -> None:
    first = register.add_agent("s1", "a1")
    register.retire_agent("a1")
    assert "a1" not in register.known().agents
    assert register.add_agent("s1", "a2").shard == first.shard


def test_a_consent_is_taken_only_with_a_trusted_signature(register: Register) -> None:
    signed = document(consent())
    with pytest.raises(ConsentError, match="not trusted"):
        register.add_consent(signed)
    assert register.known().consents == {}
    with pytest.raises(ConsentError, match="does not fit"):
        register.add_consent(signed.replace(b"Person", b"Nobody"), key=PUBLIC)
    register.add_consent(signed, key=PUBLIC)
    register.add_consent(document(consent(id="c-2")))
    assert sorted(register.known().consents) == ["c-1", "c-2"]
    assert register.known().consents["c-1"] == (consent(), None)


def test_a_consent_cannot_be_exchanged_under_its_id(register: Register) -> None:
    register.add_consent(document(consent()), key=PUBLIC)
    register.add_consent(document(consent()))
    with pytest.raises(RegisterError, match="sign it under a new id"):
        register.add_consent(document(consent(networks=["0.0.0.0/0"])))


def test_a_document_changed_in_the_database_is_not_believed(register: Register, databases: Databases) -> None:
    register.add_consent(document(consent()), key=PUBLIC)
    wider = document(consent()).replace(b"192.0.2.0/24", b"0.0.0.0/0")
    with databases.service.begin() as connection:
        connection.execute(tables.consent.update().values(document=wider))
    assert register.known().consents == {}


def test_withdrawing_shows_within_a_look(register: Register) -> None:
    register.add_consent(document(consent()), key=PUBLIC)
    register.withdraw_consent("c-1")
    withdrawn = register.known().consents["c-1"].withdrawn
    assert withdrawn is not None
    register.withdraw_consent("c-1")
    assert register.known().consents["c-1"].withdrawn == withdrawn


def test_the_picture_is_looked_at_again_after_a_second(databases: Databases) -> None:
    clock = [0.0]
    reader, writer = Register(databases, monotonic=lambda: clock[0]), Register(databases)
    before = reader.known()
    writer.add_site("s1", "One")
    writer.add_agent("s1", "a1")
    clock[0] = 0.9
    assert reader.known() is before
    clock[0] = 1.0
    after = reader.known()
    assert "a1" in after.agents
    clock[0] = 2.0
    assert reader.known() is after


def test_a_token_speaks_for_its_person_until_revoked(register: Register) -> None:
    token = register.add_token("Wang Wei")
    assert register.actor(token) == "Wang Wei"
    assert register.actor("fw_other") is None
    register.revoke_token(token)
    assert register.actor(token) is None
    with pytest.raises(RegisterError, match="revoked before"):
        register.revoke_token(token)
    with pytest.raises(RegisterError, match="name of the person"):
        register.add_token(" ")


class Client:
    """An MQTT client that notes what it gets."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.arrived = threading.Event()
        self.up = threading.Event()
        self.code = ""
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"any-{user}")
        self.client.username_pw_set(user, password)
        self.client.on_connect = self._connected
        self.client.on_message = self._message
        self.client.on_subscribe = lambda *_: self.up.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _connected(self, client: paho.Client, _user: object, _flags: object, code: object, _more: object) -> None:
        self.code = str(code)
        self.client.subscribe("fw/1/#", 1) if self.code == "Success" else self.up.set()

    def _message(self, _client: object, _user: object, message: paho.MQTTMessage) -> None:
        self.got.append((message.topic, message.payload))
        self.arrived.set()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_mosquitto_lets_each_agent_use_its_own_topics_only(sqlite_databases: Databases, tmp_path: Path) -> None:
    register = Register(sqlite_databases)
    register.add_site("s1", "One")
    first, second = register.add_agent("s1", "a1"), register.add_agent("s1", "a2")
    files = register.broker_files(tmp_path / "broker")
    lines = [f"password_file {files.passwords}", f"acl_file {files.acl}", "allow_anonymous false"]
    with servers.mosquitto(tmp_path / "mosquitto", *lines) as broker:
        clients = [
            Client(broker.port, COLLECTOR_USER, files.password.read_text().strip()),
            Client(broker.port, "a1", derive(first.secret, "mqtt")),
            Client(broker.port, "a2", derive(second.secret, "mqtt")),
            Client(broker.port, "a2", derive(first.secret, "mqtt")),
        ]
        assert all(client.up.wait(10) for client in clients)
        collector, one, two = clients[:3]
        assert [client.code for client in clients] == ["Success", "Success", "Success", "Not authorized"]
        one.client.publish("fw/1/t/00/a2", b"on another's topic", 1)
        one.client.publish("fw/1/k/a1", b"an ack of one's own", 1)
        one.client.publish("fw/1/t/00/a1", b"on one's own", 1)
        assert collector.arrived.wait(10)
        collector.client.publish("fw/1/k/a1", b"for one", 1)
        collector.client.publish("fw/1/k/a2", b"for two", 1)
        assert one.arrived.wait(10)
        assert two.arrived.wait(10)
        for client in clients:
            client.close()
    assert collector.got == [("fw/1/t/00/a1", b"on one's own")]
    assert one.got == [("fw/1/k/a1", b"for one")]
    assert two.got == [("fw/1/k/a2", b"for two")]


@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_the_sample_configuration_starts_a_mosquitto_as_it_is(sqlite_databases: Databases, mode: int) -> None:
    """As root, too: it gives the files to Mosquitto's group, and lets Mosquitto stay root where that is no use."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(mode)
        files = Register(sqlite_databases).broker_files(Path(name) / "broker")
        lines = [line for line in files.config.read_text().splitlines() if not line.startswith("listener")]
        assert ("user root" in lines) == (os.geteuid() == 0 and mode == 0o700)
        broker = servers.Mosquitto(Path(name), servers.free_port(), lines=lines)
        broker.start()
        try:
            client = Client(broker.port, COLLECTOR_USER, files.password.read_text().strip())
            assert client.up.wait(10)
            client.close()
        finally:
            broker.stop()
    assert client.code == "Success"


def test_writing_the_files_again_changes_nothing_and_keeps_what_a_person_changed(
    sqlite_databases: Databases, tmp_path: Path
) -> None:
    register = Register(sqlite_databases)
    register.add_site("s1", "One")
    register.add_agent("s1", "a1")
    files = register.broker_files(tmp_path)
    before = [path.read_bytes() for path in (files.passwords, files.acl, files.password)]
    files.config.write_text("# ours\n")
    files = register.broker_files(tmp_path)
    assert [path.read_bytes() for path in (files.passwords, files.acl, files.password)] == before
    assert files.config.read_text() == "# ours\n"
    assert files.password.stat().st_mode & 0o077 == 0
