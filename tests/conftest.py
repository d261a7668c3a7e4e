"""Fixtures that every suite shares: real servers, once a session where a test cannot spoil them."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.storage.database import Databases, open_postgres, open_sqlite
from tests import servers
from tests.budget import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL server; a test that writes makes its own database in it."""
    # Not under pytest's own folder: another run of the same account closes that one to PostgreSQL's account.
    with tempfile.TemporaryDirectory(prefix="forewarn-postgres-") as folder, servers.postgres(Path(folder)) as address:
        yield address


@pytest.fixture(scope="session")
def influxdb_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The HTTP port of an InfluxDB 1.x."""
    with servers.influxdb(tmp_path_factory.mktemp("influxdb")) as port:
        yield port


@pytest.fixture(scope="session")
def victoria_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The HTTP port of a VictoriaMetrics."""
    with servers.victoria_metrics(tmp_path_factory.mktemp("victoria")) as running:
        yield running.port


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[servers.Mosquitto]:
    """A mosquitto of the test's own, open to everybody on loopback."""
    with servers.mosquitto(tmp_path / "mosquitto") as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """The collector's databases, migrated and empty: each test runs on both kinds."""
    if request.param == "sqlite":
        opened = open_sqlite(tmp_path / "data")
    else:
        opened = open_postgres(servers.new_database(request.getfixturevalue("postgres_server")))
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def sqlite_databases(tmp_path: Path) -> Iterator[Databases]:
    """The collector's databases on SQLite alone, for what does not depend on the kind."""
    opened = open_sqlite(tmp_path / "data")
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A command run inside a test starts the program's logging; the next test begins without it."""
    yield
    for name in ("forewarn", "agent", "collector", "rules"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    root = logging.getLogger()
    root.handlers[:] = [each for each in root.handlers if type(each) is not logging.StreamHandler]
