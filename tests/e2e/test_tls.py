"""A whole site over TLS: a broker with a certificate of the company's own authority, and nobody who takes another."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.e2e.collector_run import certificates, collector, environment, until
from tests.e2e.whole_site import WholeSite


def test_records_pass_over_tls_and_a_broker_with_another_authority_gets_none(tmp_path: Path) -> None:
    ours, others = certificates(tmp_path / "ours"), certificates(tmp_path / "others")
    (tmp_path / "collector").mkdir()
    (tmp_path / "site").mkdir()
    with collector(tmp_path / "collector", tls=ours) as run:
        until(lambda: run.missing() == [], "the collector is connected over TLS")
        site = WholeSite(run, tmp_path / "site")
        site.enrol([])
        run.reload_broker()
        assert site.settings["broker"]["tls"] == {"ca": "ca.crt"}

        shutil.copy(others.ca, tmp_path / "site" / "ca.crt")
        told = looked_at(site)
        assert f"[fail] broker 127.0.0.1:{run.broker.port}: the certificate of" in told
        assert "-> set `broker.tls.ca`: the file of the authority that signed it" in told

        shutil.copy(ours.ca, tmp_path / "site" / "ca.crt")
        told = looked_at(site)
        assert f"[ok]   broker 127.0.0.1:{run.broker.port}: accepts `a1`" in told
        assert "its certificate ends in" in told, "the one of this test lasts a day"
        site.start()
        until(lambda: site.committed() >= 3, "records are committed")
        site.end()

        plain = dict(site.settings["broker"])
        del plain["tls"]
        (site.folder / "agent.yaml").write_text(yaml.safe_dump({**site.settings, "broker": plain}))
        told = looked_at(site)
        assert f"[fail] broker 127.0.0.1:{run.broker.port}: speaks TLS at this port" in told
        assert "-> set `broker.tls`" in told
        assert run.end() == 0


def looked_at(site: WholeSite) -> str:
    """What `forewarn agent doctor` prints."""
    status = site.folder / "agent" / "status.json"
    status.unlink(missing_ok=True)
    command = [sys.executable, "-m", "forewarn", "agent", "doctor"]
    done = subprocess.run(
        command, cwd=site.folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr
