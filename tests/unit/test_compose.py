"""docker-compose.yml, read as Compose would read it: what it names exists, and nothing is open that need not be."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from collector.settings import ENVIRONMENT, load

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


def every(name: str) -> dict[str, Any]:
    return {service: made[name] for service, made in SERVICES.items() if name in made}


def mounts(service: dict[str, Any]) -> list[list[str]]:
    return [mount.split(":") for mount in service.get("volumes", [])]


def test_it_is_what_the_compose_specification_allows() -> None:
    schema = resources.files("check_jsonschema.builtin_schemas.vendor") / "compose-spec.json"
    jsonschema.validate(COMPOSE, json.loads(schema.read_text(encoding="utf-8")))


@pytest.mark.parametrize("service", ["collector", "broker-files"])
def test_the_collector_understands_its_settings(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = tmp_path / "secrets"
    subprocess.run([ROOT / "deploy/compose/secrets.sh", secrets], check=True, capture_output=True)
    for name in [name for name in os.environ if name.startswith(ENVIRONMENT)]:
        monkeypatch.delenv(name)
    env = {
        name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", str(value)).replace("/run/secrets", str(secrets))
        for name, value in SERVICES[service]["environment"].items()
    }
    assert all(name.startswith(ENVIRONMENT) for name in env if name != "FOREWARN_COLLECTOR_CONFIG")
    settings = load(ROOT / "deploy/compose/collector.yaml", env)
    assert settings.broker.host in SERVICES
    assert settings.series.influxdb is not None
    assert settings.series.influxdb.access() == (secrets / "influxdb_token").read_text().strip()
    address = settings.database.address()
    assert address is not None
    assert (secrets / "postgres_password").read_text().strip() in address
    assert address.endswith("@postgres/forewarn")
    assert settings.api.port == 8080
    assert str(settings.broker.password_file) == "/broker/collector.password"


def test_what_the_collector_is_told_of_the_database_is_what_the_database_is_told() -> None:
    collector, influxdb = SERVICES["collector"]["environment"], SERVICES["influxdb"]["environment"]
    assert collector["FOREWARN_COLLECTOR__SERIES__INFLUXDB__BUCKET"] == influxdb["DOCKER_INFLUXDB_INIT_BUCKET"]
    assert collector["FOREWARN_COLLECTOR__SERIES__INFLUXDB__ORG"] == influxdb["DOCKER_INFLUXDB_INIT_ORG"]
    source = (ROOT / "dashboards/provisioning/datasources/forewarn.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(source)["datasources"][0]["jsonData"]["dbName"] == influxdb["DOCKER_INFLUXDB_INIT_BUCKET"]


def test_a_command_typed_in_a_container_finds_the_settings() -> None:
    ours = [service for service in SERVICES.values() if "forewarn-collector" in service["image"]]
    assert len(ours) == 2
    for service in ours:
        assert service["environment"]["FOREWARN_COLLECTOR_CONFIG"] in {mount[1] for mount in mounts(service)}


def test_every_port_is_bound_to_this_machine() -> None:
    ports = [port for published in every("ports").values() for port in published]
    assert len(ports) == 3
    assert all(re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-\d+\}:\d+", port) for port in ports)


def test_every_image_is_pinned() -> None:
    recipes = [recipe.read_text(encoding="utf-8") for recipe in (ROOT / "deploy").glob("*.Dockerfile")]
    bases = [name for recipe in recipes for name in re.findall(r"^FROM (\S+)", recipe, re.MULTILINE)]
    assert bases
    assert len(every("image")) == len(SERVICES)
    images = [*every("image").values(), *bases]
    for name in images:
        assert re.search(r":\d+\.\d+(\.\d+)?(-[a-z-]+)?$", name), name


def test_every_service_is_hardened() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"[1-9]\d*:\d+", service["user"]), name
        assert service["read_only"] is True or name == "influxdb", name


def test_every_service_that_stays_is_watched_and_started_in_order() -> None:
    for name, service in SERVICES.items():
        if service["restart"] == "no":
            continue
        assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"]), name
        for other, how in service.get("depends_on", {}).items():
            ends = SERVICES[other]["restart"] == "no"
            assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy")


def test_everything_mounted_exists() -> None:
    for name, service in SERVICES.items():
        for source, *rest in mounts(service):
            if source.startswith("."):
                assert (ROOT / source).exists(), (name, source)
                assert rest[-1] == "ro", (name, source)
            else:
                assert source in COMPOSE["volumes"], (name, source)
    used = {mount[0] for service in SERVICES.values() for mount in mounts(service)}
    assert set(COMPOSE["volumes"]) <= used


def test_every_secret_comes_from_a_file_that_the_script_makes(tmp_path: Path) -> None:
    script = [ROOT / "deploy/compose/secrets.sh", tmp_path / "secrets"]
    said = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert {f"deploy/compose/secrets/{name}" for name in made} == {one["file"] for one in COMPOSE["secrets"].values()}
    assert all(len(text.strip()) >= 64 for text in made.values())
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert not any(text.strip() in said for text in made.values())
    subprocess.run(script, check=True, capture_output=True)
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == made
    assert {secret for names in every("secrets").values() for secret in names} == set(COMPOSE["secrets"])
    assert "/deploy/compose/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_every_variable_has_a_default_and_is_explained() -> None:
    wanted = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))
    example = dict(
        line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if line and line[0] != "#"
    )
    assert example == wanted
    assert not re.search(r"\$\{\w+\}", TEXT)


def test_the_broker_reads_the_files_the_collector_writes() -> None:
    config = (ROOT / "deploy/compose/mosquitto.conf").read_text(encoding="utf-8").splitlines()
    folder = next(mount[1] for mount in mounts(SERVICES["mosquitto"]) if mount[0] == "broker")
    assert f"password_file {folder}/passwords" in config
    assert f"acl_file {folder}/acl" in config
    assert "allow_anonymous false" in config
    assert SERVICES["mosquitto"]["user"] == SERVICES["broker-files"]["user"]


def test_the_image_holds_every_package_and_the_recipe_copies_what_is_sent() -> None:
    recipe = (ROOT / "deploy/collector.Dockerfile").read_text(encoding="utf-8")
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {word for line in re.findall(r"^COPY (?!--)(.*) \S+$", recipe, re.MULTILINE) for word in line.split()}
    assert copied == sent
    assert {"forewarn", "agent", "collector", "rules"} <= sent
    assert "USER 10001:10001" in recipe
