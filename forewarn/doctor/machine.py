"""The machine a program stands on: its folder, the room on its disk, its clock, who can read its secrets.

Nothing is left behind: the one file made to see whether a folder can be written is removed at once.

Errors: none; what cannot be told here is told as such.
"""

from __future__ import annotations

import errno
import getpass
import os
import platform
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import msgspec

from forewarn import kernel_clock
from forewarn.doctor.diagnosis import Diagnosis, amount, fail, ok, warn
from forewarn.settings import Secret, Size

LEAST_ROOM = Size.parse("64MiB")
"""With less than this free, the next write may be the one that fails."""
_FEW_INODES = 1000
_PUBLIC = {"ca_file"}
_OTHERS = 0o027
"""Rights that a file with a secret gives nobody: write to its group, anything to others."""


def program() -> Diagnosis:
    """Version of forewarn, Python and system."""
    try:
        version = metadata.version("forewarn")
    except metadata.PackageNotFoundError:
        version = "of a source tree"
    system = f"{platform.system()} {platform.machine()}"
    return ok("program", f"forewarn {version}, Python {platform.python_version()}, {system}")


def there(path: Path) -> bool:
    """Whether a path exists, as far as this account can see: behind a closed folder nothing does."""
    try:
        return path.exists()
    except OSError:
        return False


def ground(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if there(each))


def folder(path: Path, *, key: str = "folder") -> Diagnosis:
    """Whether a program's folder is there, or can be made, and takes files from this account."""
    subject = f"folder {path}"
    place = ground(path)
    if not place.is_dir():
        return fail(subject, f"{place} is a file", f"move it away, or set `{key}` to another folder")
    probe = place / f".doctor-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(b"x")
    except OSError as wrong:
        return fail(subject, f"cannot be written ({wrong.strerror})", _remedy(wrong, path, place))
    finally:
        _forget(probe)
    try:
        count = sum(1 for _ in os.scandir(place))
    except OSError as wrong:
        return fail(subject, f"cannot be read ({wrong.strerror})", _remedy(wrong, path, place))
    if place != path.absolute():
        return ok(subject, "is not there yet; the first start makes it")
    return ok(subject, f"takes files; {count} in it")


def _forget(probe: Path) -> None:
    try:
        probe.unlink(missing_ok=True)
    except OSError:
        return  # It could not be made, so that nothing lies there.


def _remedy(wrong: OSError, path: Path, place: Path) -> str:
    if wrong.errno == errno.EROFS:
        mount = next(each for each in (place, *place.parents) if each.is_mount())
        return f"see with `dmesg` why the system made it read-only, then `mount -o remount,rw {mount}`"
    if wrong.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"make room on the disk of {place}"
    return f"run this as the account that the program runs under, or give it the folder: chown -R {_account()} {path}"


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "ACCOUNT"


def room(path: Path, *, needs: int, what: str, remedy: str) -> Diagnosis:
    """Whether the disk of a folder has the room that is needed.

    Args:
        path: the folder, or one that is to be made.
        needs: bytes that may still be written there.
        what: whose bytes those are, for people.
        remedy: what to do beside making room.
    """
    place = ground(path)
    subject = f"disk of {path}"
    if not hasattr(os, "statvfs"):
        return ok(subject, "its room cannot be told on this system")
    found = os.statvfs(place)
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    said = f"{amount(free)} of {amount(total)} free"
    if free < LEAST_ROOM:
        return fail(subject, said, f"make room now: what is to be kept cannot be written. Or {remedy}")
    if found.f_files and found.f_favail < _FEW_INODES:
        return fail(subject, f"{found.f_favail} inodes left", "remove small files: no new file can be made soon")
    if free < needs:
        return warn(subject, f"{said}, {what} may take {amount(needs)} more", f"make room, or {remedy}")
    return ok(subject, said)


def clock() -> Diagnosis:
    """Whether something keeps this machine's clock (NTP, PTP), as the kernel knows it."""
    found = kernel_clock.kept()
    if isinstance(found, kernel_clock.Unsaid):
        if not found.why:
            return ok("clock", "whether something keeps it cannot be told on this system")
        return ok("clock", f"the kernel does not say whether something keeps it ({found.why})")
    if not found.synchronised:
        why = "nothing keeps this machine's clock: every record carries its time"
        return warn("clock", why, "`timedatectl set-ntp true`, or install chrony; in a container, on its host")
    return ok("clock", f"kept, to {max(found.error_seconds, 1e-6):.3f} s at most")


def secrets_kept(file: Path, settings: msgspec.Struct) -> Iterator[Diagnosis]:
    """Whether the files with secrets are closed to other accounts.

    Args:
        file: the settings file, which holds one itself when a `Secret` is given in it.
        settings: as read; every file it names under `..._file` or `key` holds one.
    """
    if os.name != "posix":
        return
    inline, files = _secrets_of(settings)
    kept = [*([file] if inline and there(file) else []), *files]
    open_ones = [path for path in kept if there(path) and path.stat().st_mode & _OTHERS]
    for path in open_ones:
        mode = f"{path.stat().st_mode & 0o777:o}"
        yield warn(f"secrets in {path}", f"other accounts may read or write it (mode {mode})", f"chmod 600 {path}")
    if kept and not open_ones:
        yield ok("secrets", f"kept to this account: {', '.join(map(str, kept))}")


def _secrets_of(settings: msgspec.Struct) -> tuple[bool, list[Path]]:
    inline = False
    files: list[Path] = []
    for field in msgspec.structs.fields(type(settings)):
        value = getattr(settings, field.name)
        within = value if isinstance(value, list) else [*value.values()] if isinstance(value, dict) else [value]
        for each in within:
            if isinstance(each, msgspec.Struct):
                deeper, more = _secrets_of(each)
                inline, files = inline or deeper, files + more
            elif isinstance(each, Secret):
                inline = inline or each != field.default
            elif isinstance(each, Path) and field.name not in _PUBLIC:
                files += [each] if field.name.endswith("_file") or field.name == "key" else []
    return inline, list(dict.fromkeys(files))
