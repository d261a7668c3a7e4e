"""`forewarn doctor`: looks at what is set up on this machine, an agent, a collector or both.

Exit codes: 0 nothing fails; 1 something fails; 2 the command line or a settings file is wrong.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from forewarn import telemetry
from forewarn.doctor.diagnosis import WRONG, Diagnosis, Progress, Side, examine, fail

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_LOOKS = {"agent": "agent.doctor.look", "collector": "collector.doctor.look"}
"""The looks of both sides; imported when they are used, for an agent's machine has none of the collector's packages."""


def main(words: Sequence[str]) -> int:
    """Runs the command; returns the exit code."""
    telemetry.start("error")
    try:
        app(list(words), prog_name="forewarn doctor")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0


@app.command()
def doctor(
    agent: Annotated[
        Path | None, typer.Option("--agent", envvar="FOREWARN_AGENT_CONFIG", help="The agent's settings.")
    ] = None,
    collector: Annotated[
        Path | None, typer.Option("--collector", envvar="FOREWARN_COLLECTOR_CONFIG", help="The collector's settings.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at what is set up here, and say what to do about what is not well.

    Without a file named: agent.yaml and collector.yaml of this folder, whichever is there.
    """
    given = {"agent": agent, "collector": collector}
    if agent is None and collector is None:
        given = {name: Path(f"{name}.yaml") for name in given if Path(f"{name}.yaml").exists()}
    sides = [Side(name, file, _look(name, file)) for name, file in given.items() if file is not None]
    if not sides:
        what = "there is neither agent.yaml nor collector.yaml in this folder: name one with --agent or --collector"
        print(f"forewarn doctor: {what}", file=sys.stderr)
        raise typer.Exit(WRONG)
    raise typer.Exit(examine(sides, as_json=as_json))


def _look(name: str, file: Path) -> Callable[[Progress], Iterator[Diagnosis]]:
    def look(progress: Progress) -> Iterator[Diagnosis]:
        try:
            side = importlib.import_module(_LOOKS[name])
        except ModuleNotFoundError as missing:
            what = f"cannot run here: the package `{missing.name}` is missing"
            yield fail(name, what, f"install `forewarn[collector]`, or leave out {file}")
            return
        yield from side.look(file, progress)

    return look
