"""`forewarn agent profiles`: look at the profiles there are, and check one's own before an agent reads them.

Exit codes: 0 well, 1 something only looks wrong, 2 a mistake.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
import yaml

from agent.profiles import files as profiles_of
from agent.profiles.faults import remarks
from agent.profiles.language import Profile
from agent.settings import load
from forewarn.settings import UNITS, Duration, Wrong
from forewarn.vocabulary import nearest

WRONG = 2
app = typer.Typer(help="The profiles devices are polled by.", no_args_is_help=True)
Folder = Annotated[Path | None, typer.Option("--folder", "-f", help="A folder of your own profiles beside ours.")]
Config = Annotated[
    Path | None, typer.Option("--config", "-c", envvar="FOREWARN_AGENT_CONFIG", help="Settings that name the folder.")
]


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A file, or a folder whose *.yaml are read together.")],
) -> None:
    """Read profiles strictly, as an agent would, and name what looks wrong."""
    if not path.exists():
        print(f"{path}: there is no such file or folder", file=sys.stderr)
        raise typer.Exit(WRONG)
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    found = profiles_of.library(files)
    names = {str(file) for file in files}
    own = [profile for profile in found.values() if profile.id.mark.source in names]
    told = list(dict.fromkeys(remark for profile in own for remark in remarks(profile) if _is_of(remark, names)))
    for remark in sorted(told):
        print(f"{remark} (allowed)")
    said = ", ".join(str(profile.id) for profile in own)
    count = "1 profile" if len(own) == 1 else f"{len(own)} profiles"
    print(f"{count} without a mistake: {said}" if own else f"{path}: no profiles (*.yaml)")
    raise typer.Exit(1 if told or not own else 0)


@app.command("list")
def list_(folder: Folder = None, config: Config = None) -> None:
    """List every profile: priority, kind, what it extends, where it is from."""
    found = _all(folder, config)
    for name, profile in sorted(found.items(), key=lambda one: (one[1].abstract, -_priority(one[1]), one[0])):
        what = "base" if profile.abstract else str(profile.kind)
        priority = profile.match.priority if profile.match else "-"
        print(f"{priority!s:>5}  {name:<28} {what:<9} {profile.src}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="A profile's id.")],
    folder: Folder = None,
    config: Config = None,
) -> None:
    """Print a profile as it is once everything it extends is taken over."""
    found = _all(folder, config)
    if name not in found:
        print(f"no profile is called `{name}`{nearest(name, found)}", file=sys.stderr)
        raise typer.Exit(WRONG)
    profile = found[name]
    if profile.extended:
        print(f"# With what it extends: {', '.join(profile.extended)}")
    told = _plain(msgspec.structs.replace(profile, extended=()))
    print(yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=120), end="")


def _all(folder: Path | None, config: Path | None) -> Mapping[str, Profile]:
    own = folder or (load(config).profiles if config is not None else None)
    return profiles_of.library(sorted(own.glob("*.yaml")) if own is not None else [])


def _priority(profile: Profile) -> int:
    return profile.match.priority if profile.match else -(1 << 30)


def _is_of(remark: Wrong, names: set[str]) -> bool:
    return remark.mark.source in names


def _plain(value: Any) -> Any:
    """A struct as the mapping that a person would have written: without what is left out, without marks."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        given = {field.encode_name: getattr(value, field.name) for field in fields if not _is_default(value, field)}
        return {key: _plain(part) for key, part in given.items()}
    if isinstance(value, Mapping):
        return {_plain(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Duration):
        return _duration(value)
    if isinstance(value, bool) or value is None:
        return value
    return _number(value) if isinstance(value, float) else value if isinstance(value, int) else str(value)


def _is_default(value: msgspec.Struct, field: msgspec.structs.FieldInfo) -> bool:
    given = getattr(value, field.name)
    if field.default_factory is not msgspec.NODEFAULT:
        return bool(given == field.default_factory())
    return bool(given == field.default)


def _duration(value: float) -> str:
    """As a person writes it: `1h`."""
    fitting = (unit for unit, size in sorted(UNITS.items(), key=lambda one: -one[1]) if value % size == 0)
    unit = next(fitting, "ms")
    return f"{round(value / UNITS[unit])}{unit}"


def _number(value: float) -> float:
    return int(value) if value == int(value) and abs(value) < 1e15 else float(value)  # noqa: PLR2004 - digits of a float
