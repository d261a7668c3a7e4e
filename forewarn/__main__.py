"""The command line: `forewarn agent ...`, `forewarn collector ...`, `forewarn rules ...`, `forewarn demo`.

`agent run` starts without Typer and Rich, which a service does not need in memory.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from forewarn.vocabulary import nearest

_FACES = {
    "agent": ("agent.commands", "poll devices on the customer's site and deliver what was read"),
    "collector": ("collector.commands", "take records in, evaluate rules, work tickets"),
    "rules": ("collector.commands.rules", "check, test and explain rules"),
    "doctor": ("forewarn.doctor.commands", "look at what is set up here, and say what to do about what is not well"),
    "demo": ("forewarn.demo.commands", "show it all on this machine: a simulated site, the first forecast ticket"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code (2: the command line or a file is wrong)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:2] == ["agent", "run"]:
        from agent.app import main as run

        return run(words[2:])
    if not words or words[0] not in _FACES:
        return _usage(words)
    try:
        face = importlib.import_module(_FACES[words[0]][0])
    except ModuleNotFoundError as missing:
        if missing.name and missing.name.split(".")[0] in ("forewarn", "agent", "collector", "rules"):
            raise
        extra = "collector,demo" if words[0] == "demo" else "collector"
        print(f"`forewarn {words[0]}` needs the package `{missing.name}`: install `forewarn[{extra}]`", file=sys.stderr)
        return 2
    code: int = face.main(words[1:])
    return code


def _usage(words: list[str]) -> int:
    asked = words[:1] in (["--help"], ["-h"], ["help"])
    stream = sys.stdout if asked else sys.stderr
    if words and not asked:
        print(f"forewarn: `{words[0]}` is not a command{nearest(words[0], _FACES)}", file=stream)
    print("Usage: forewarn COMMAND ...", file=stream)
    for name, (_, what) in _FACES.items():
        print(f"  {name:<10} {what}", file=stream)
    return 0 if asked else 2


if __name__ == "__main__":
    sys.exit(main())
