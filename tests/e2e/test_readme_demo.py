"""The README's demo as it is written there: its ticket, a raw value's way to the record, and the pictures."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from collector.console.words import Say
from tests import servers
from tests.e2e.browser import Browser, browser
from tests.pictures import FOLDER, LARGEST, PICTURES, WIDTH

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WANTED = Path(os.environ.get("PICTURES_TO", ""))
"""Where pictures are to be kept; `make pictures` names the READMEs' folder."""
INK = "return [...document.querySelectorAll('.fw-chart canvas')].filter(one => one.toDataURL().length > 3000).length"

# The words that stand above the picture's lower edge.
WITHIN = """
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), seen = [], place = document.createRange()
while (texts.nextNode()) {
  place.selectNode(texts.currentNode)
  const {bottom, height} = place.getBoundingClientRect()
  if (height > 0 && bottom <= arguments[0]) seen.push(texts.currentNode.textContent.trim())
}
return seen
"""


@dataclass(frozen=True)
class Demo:
    """A demo that goes on."""

    address: str
    token: str
    told: str
    folder: Path
    """Where the README's commands are run: it has `kept` and `.venv`."""


def section(title: str) -> str:
    return next(part for part in re.split(r"^## ", README, flags=re.MULTILINE) if part.startswith(title))


def blocks(title: str, kind: str) -> list[str]:
    """The fenced blocks of a section that are marked as being of a kind."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)
    return [text for marked, text in found if marked == kind]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("checkout")
    bin_ = folder / ".venv" / "bin"
    bin_.mkdir(parents=True)
    (bin_ / "forewarn").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m forewarn "$@"\n')
    (bin_ / "forewarn").chmod(0o755)
    (folder / ".venv" / ".ready").touch()  # The environment is there: this one.
    port, log = servers.free_port(), folder / "log"
    command, *_ = blocks("From a raw value", "sh")
    script = command.replace("make demo", f"exec make -C {ROOT} demo VENV={folder}/.venv")
    script = script.replace("--data kept", f"--data {folder}/kept --port {port}")
    with log.open("wb") as out:
        running = subprocess.Popen(["sh", "-c", script], stdout=out, stderr=out, start_new_session=True)
    try:
        end = time.monotonic() + 120
        while "Ctrl-C" not in log.read_text(encoding="utf-8"):
            assert running.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < end, log.read_text(encoding="utf-8")
            time.sleep(0.2)
        told = log.read_text(encoding="utf-8")
        token = re.search(r"fw_[\w-]+", told)
        assert token, told
        yield Demo(f"http://127.0.0.1:{port}", token[0], told, folder)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGINT)
        running.wait(60)


@pytest.fixture(scope="module")
def engineer(demo: Demo) -> Iterator[Browser]:
    with browser(demo.address, demo.folder, width=WIDTH) as page:
        page.log_in(demo.token)
        page.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        yield page


@pytest.mark.timeout(300)
def test_the_demo_tells_the_forecast_as_the_readme_has_it(demo: Demo) -> None:
    said = re.search(r"^    (Ticket after .*)$", section("What you see"), re.MULTILINE)
    assert said
    numbers = re.compile(r"\d+")
    told = [line for line in demo.told.splitlines() if line.startswith("Ticket after")]
    assert [numbers.sub("N", line) for line in told] == [numbers.sub("N", said[1]).replace("hdN", "hdN")]


def sizes(printed: str) -> dict[str, int]:
    """Megabytes by the last parts of an object's number, as snmpget prints them."""
    found = re.findall(r"^\.1\.3\.6\.1\.4\.1\.50001\.1\.241\.1\.(\d)\.1\.0 = INTEGER: (\d+)$", printed, re.MULTILINE)
    return {{"4": "free_bytes", "5": "total_bytes"}[column]: int(value) for column, value in found}


def agree(asked: dict[str, int], fields: list[str], values: list[float]) -> None:
    """Whether a record's volume is what the device said, but for what was recorded in between."""
    record = dict(zip(fields, values, strict=True))
    assert record["total_bytes"] == asked["total_bytes"] * 2**20
    assert record["free_bytes"] == pytest.approx(asked["free_bytes"] * 2**20, rel=0.02)
    used = 100 * (record["total_bytes"] - record["free_bytes"]) / record["total_bytes"]
    assert record["used_percent"] == pytest.approx(used, rel=1e-12)
    assert record["overwrite"] == 0.0


def test_a_raw_value_goes_its_way_to_the_record_as_the_readme_has_it(demo: Demo) -> None:
    servers.program("snmpget", "snmp")
    _, by_hand, poll = blocks("From a raw value", "sh")
    [printed] = blocks("From a raw value", "")
    shown_table, shown_record = map(json.loads, blocks("From a raw value", "json")[0].splitlines())
    agree(sizes(printed), shown_table["fields"], shown_record["values"])

    def run(script: str) -> str:
        done = subprocess.run(
            ["sh", "-euc", script], cwd=demo.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    asked = sizes(run(by_hand))
    first, _ = json.JSONDecoder().raw_decode(run(poll))
    [shape], [record] = first["shapes"].values(), first["records"]
    table = shape["tables"][-1]
    assert table == shown_table
    assert f"{len(record['values'])} values" in section("From a raw value")
    agree(asked, table["fields"], record["values"][-len(table["fields"]) :])


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", PICTURES)
def test_a_page_still_has_what_its_picture_shows(
    demo: Demo, engineer: Browser, tmp_path: Path, name: str, language: str
) -> None:
    picture, say = PICTURES[name], Say(language)
    metrics = {"width": WIDTH, "height": picture.height, "deviceScaleFactor": 1, "mobile": False}
    engineer.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    engineer.prefer(language)
    engineer.open(picture.path.format(ticket=forecast(demo)["id"]))
    if picture.curves:
        drawn = "its curves are drawn"
        engineer.until(lambda: engineer.driver.execute_script(INK) >= picture.curves, drawn)
    shown = engineer.driver.execute_script(WITHIN, picture.height)
    assert [word for word in picture.shows if say(word) not in shown] == [], shown
    kept = (WANTED if WANTED.name else tmp_path) / f"{name}-{language}.png"
    assert engineer.driver.save_screenshot(str(kept))
    assert kept.stat().st_size <= LARGEST


def forecast(demo: Demo) -> dict[str, Any]:
    known = {"Authorization": f"Bearer {demo.token}"}
    answer = httpx.get(f"{demo.address}/api/v1/tickets?rule=recorder.filling", headers=known, trust_env=False)
    found: dict[str, Any] = answer.json()["items"][0]
    return found


def test_pictures_go_where_the_readmes_look_for_them() -> None:
    target = re.search(r"^pictures:.*\n\t(.*)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert target
    assert f"PICTURES_TO={FOLDER}" in target[1]
