"""The API keeps what its description says, whatever is sent to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from collector.api.application import application, routes
from collector.api.server import Server, bound
from collector.storage.database import open_sqlite
from tests import api_parts

TOKEN = {"Authorization": f"Bearer {api_parts.TOKEN}"}
schema = schemathesis.openapi.from_dict(routes().openapi())


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    asked = api_parts.opened(open_sqlite(tmp_path_factory.mktemp("api")))
    server = Server(application(asked.parts), bound("127.0.0.1", 0))
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.close()
    asked.databases.close()


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described(case: schemathesis.Case, address: str) -> None:
    case.call_and_validate(base_url=address, headers=TOKEN)
