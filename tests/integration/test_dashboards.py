"""The dashboards: every query runs on a real InfluxDB with values that came through our own store."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.series.influx import InfluxStore
from collector.settings import Influxdb
from forewarn.vocabulary import TABLES, DeviceKind, Source, misnamed
from forewarn.wire import Shape, TableShape
from tests.series_batches import MINUTE, NOW, batch, influx_database, rows

ROOT = Path(__file__).parents[2] / "dashboards"
BOARDS = sorted((ROOT / "boards").glob("*.json"))
SOURCE = {"type": "influxdb", "uid": "forewarn-influx"}
EVERYTHING = Shape(
    DeviceKind.OTHER,
    "everything",
    Source.SNMP,
    [TableShape(name, ["1", "2"] if table.instance else [""], list(table.fields)) for name, table in TABLES.items()],
)
VARIABLES = {"site": "s1", "device": "(nvr1|nvr 2)"}


def board(path: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return made


def panels(path: Path) -> list[dict[str, Any]]:
    return [panel for panel in board(path)["panels"] if panel["type"] != "row"]


def filled(query: str) -> str:
    span = f"time >= {NOW - 60 * MINUTE}ms and time <= {NOW + 60 * MINUTE}ms"
    query = query.replace("$timeFilter", span).replace("$__interval", "60s")
    for name, value in VARIABLES.items():
        query = re.sub(rf"\${name}\b", value, query)
    assert not re.search(r"\$\w", query), query
    return query


@pytest.fixture(scope="module")
def database(influxdb_port: int) -> Influxdb:
    settings = influx_database(influxdb_port)
    store = InfluxStore(settings)
    polls = [(device, NOW + n * MINUTE, [n + 0.5] * EVERYTHING.width) for n in range(5) for device in ("nvr1", "nvr 2")]
    store.write(batch(1, rows(EVERYTHING, polls)))
    store.close()
    return settings


def asked(database: Influxdb, query: str) -> list[dict[str, Any]]:
    form = urllib.parse.urlencode({"db": database.bucket, "q": filled(query), "epoch": "ms"}).encode()
    with urllib.request.urlopen(f"{database.url}/query", form, timeout=10) as answer:
        [result] = json.load(answer)["results"]
    assert "error" not in result, (query, result)
    series: list[dict[str, Any]] = result.get("series", [])
    return series


QUERIES = [
    pytest.param(target["query"], id=f"{path.stem}-{panel['title']}-{target['refId']}")
    for path in BOARDS
    for panel in panels(path)
    for target in panel["targets"]
]


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_finds_values(database: Influxdb, query: str) -> None:
    series = asked(database, query)
    assert series, query
    assert any(value is not None for one in series for row in one["values"] for value in row[1:])


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_asks_for_words_of_the_vocabulary(query: str) -> None:
    table = re.findall(r'FROM "(\w+)"', query)[-1]
    field = re.findall(r'\w+\("(\w+)"\) FROM "', query)[-1]
    assert misnamed(table, field) is None
    assert set(re.findall(r'"(\w+)"', query)) <= {"site", "device", "instance", "last", table, field}


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_variable_offers_what_is_there(database: Influxdb, path: Path) -> None:
    found = {
        variable["name"]: [row[1] for row in asked(database, variable["query"])[0]["values"]]
        for variable in board(path)["templating"]["list"]
    }
    assert found == {"site": ["s1"], "device": ["nvr 2", "nvr1"]}


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_every_panel_says_what_it_shows_in_which_unit_and_that_there_is_nothing(path: Path) -> None:
    numbers = [panel["id"] for panel in board(path)["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in panels(path):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert defaults["unit"], panel["title"]
        assert defaults["noValue"] == "no data", panel["title"]
        assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])].count(SOURCE) == len(
            panel["targets"]
        ) + 1


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_board_can_be_provisioned_again_and_again(path: Path) -> None:
    made = board(path)
    assert made["id"] is None
    assert made["uid"] == f"forewarn-{path.stem}"
    assert "__inputs" not in made
    assert "${DS_" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_panels_do_not_lie_upon_each_other(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board(path)["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_provisioned_source_is_the_one_the_boards_name() -> None:
    text = (ROOT / "provisioning/datasources/forewarn.yaml").read_text(encoding="utf-8")
    [source] = yaml.safe_load(text)["datasources"]
    assert {"type": source["type"], "uid": source["uid"]} == SOURCE
    assert source["jsonData"]["version"] == "InfluxQL"
    assert source["secureJsonData"]["httpHeaderValue1"] == "Token $__file{/run/secrets/influxdb_token}"
