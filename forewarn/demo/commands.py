"""`forewarn demo`: a simulated site, the real programs, the first forecast ticket within a minute.

Exit codes: 0 ended as asked; 1 with `--until-ticket` no ticket in time, or a program of the demo ended by itself;
2 the command line, a port or the folder cannot be used.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agent.delivery.spool import SpoolError
from collector.series.store import StoreError
from collector.storage.database import StorageError
from forewarn.demo import BEGUN
from forewarn.demo.children import Ended
from forewarn.demo.free import Taken
from forewarn.demo.history import Unanswered
from forewarn.demo.home import Home, Unfit
from forewarn.demo.performance import Outcome, Performance
from forewarn.demo.words import Language, say

_ENDING = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
FAILED = 1
WRONG = 2

app = typer.Typer(
    name="forewarn demo",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 120},
)


def main(words: Sequence[str]) -> int:
    """Runs the command; returns the exit code."""
    try:
        app(list(words), prog_name="forewarn demo")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except (Taken, Unfit) as wrong:
        return _told(wrong, WRONG)
    except (Ended, Unanswered, LookupError, SpoolError, StorageError, StoreError, OSError) as wrong:
        return _told(wrong, FAILED)
    return 0


def _told(wrong: Exception, code: int) -> int:
    print(f"forewarn demo: {wrong}", file=sys.stderr)
    return code


@app.command()
def demo(
    until_ticket: Annotated[
        bool, typer.Option("--until-ticket", help="End with 0 at the first forecast ticket, else with 1.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that --until-ticket waits.")] = 120,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the API; left out, 8080 or any that is free.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Keep everything in this folder, and go on from it; left out, a temporary one.")
    ] = None,
    lang: Annotated[str, typer.Option(help="en or zh.")] = "en",
) -> None:
    """Show forewarn at work on this machine: a simulated site, real programs, nothing beside them is needed."""
    if lang not in ("en", "zh"):
        print(f"forewarn demo: --lang is en or zh, not `{lang}`", file=sys.stderr)
        raise typer.Exit(WRONG)
    language: Language = "zh" if lang == "zh" else "en"
    console = Console(stderr=as_json)
    with _folder(data) as folder, contextlib.closing(Home(folder)) as home, _stopping() as stop:
        performance = Performance(
            home=home,
            console=console,
            language=language,
            port=port,
            stop=stop,
            begun=BEGUN,
            until_ticket=until_ticket,
            timeout=timeout,
            prove=as_json or until_ticket,
        )
        outcome = performance.run()
    raise typer.Exit(_end(outcome, console, language, data, until_ticket=until_ticket, as_json=as_json))


def _end(
    outcome: Outcome, console: Console, language: Language, data: Path | None, *, until_ticket: bool, as_json: bool
) -> int:
    late = until_ticket and not outcome.reached
    if late:
        console.print(say(language, "late", seconds=time.monotonic() - outcome.begun), highlight=False)
    if data is not None:
        console.print(say(language, "kept", folder=data), highlight=False, markup=False)
    console.print(say(language, "ended"), highlight=False)
    if as_json:
        print(json.dumps(outcome.as_json(), ensure_ascii=False))
    return FAILED if late else 0


@contextlib.contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is not None:
        yield data
        return
    folder = Path(tempfile.mkdtemp(prefix="forewarn-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, instead of breaking off whatever is under way."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in _ENDING}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
