"""The API over a database of either kind, for every file that asks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from collector.storage.database import open_postgres, open_sqlite
from tests import api_parts, servers


@pytest.fixture
def asked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[api_parts.Asked]:
    if getattr(request, "param", "sqlite") == "sqlite":
        databases = open_sqlite(tmp_path)
    else:
        databases = open_postgres(servers.new_database(request.getfixturevalue("postgres_server")))
    yield api_parts.opened(databases)
    databases.close()


@pytest.fixture
def client(asked: api_parts.Asked) -> Iterator[httpx.Client]:
    with asked.client() as made:
        yield made
