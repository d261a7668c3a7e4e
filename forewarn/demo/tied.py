"""Runs a command of forewarn, or the demo's broker, that ends in order when whoever started it is gone.

`python -m forewarn.demo.tied agent run ...`: standard input is a pipe whose other end the demo holds and never writes
to, so that even a killed demo leaves no child behind.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def _follow() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Runs the command line given."""
    threading.Thread(target=_follow, name="tie", daemon=True).start()
    words = sys.argv[1:]
    if words[0] == "broker":
        from forewarn.demo.broker import main as run

        return run(words[1:])
    sys.argv = ["forewarn", *words]
    runpy.run_module("forewarn", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
