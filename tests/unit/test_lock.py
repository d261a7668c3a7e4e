"""`requirements.lock` pins what pyproject.toml asks for, by hash, and says nothing of where packages come from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ENTRIES = re.findall(r"^([A-Za-z0-9][^\s=]*)==([^\s;\\]+)([^\n]*)\n((?:    --hash=\S+(?: \\)?\n)*)", LOCK, re.MULTILINE)


def wanted() -> list[Requirement]:
    extras = PROJECT["project"].get("optional-dependencies", {}).values()
    groups = PROJECT["dependency-groups"].values()
    lists = [PROJECT["project"]["dependencies"], *extras, *groups]
    return [Requirement(line) for listed in lists for line in listed]


def test_no_address_is_in_the_lock() -> None:
    assert "://" not in LOCK
    assert [line for line in LOCK.splitlines() if line.startswith("-")] == []


def test_every_line_of_the_lock_is_understood() -> None:
    assert len(ENTRIES) == len([line for line in LOCK.splitlines() if line and line[0] not in " #"])


def test_every_package_has_its_hashes() -> None:
    assert [name for name, _, _, hashes in ENTRIES if "sha256:" not in hashes] == []


@pytest.mark.parametrize("requirement", wanted(), ids=str)
def test_what_the_project_asks_for_is_locked_within_its_range(requirement: Requirement) -> None:
    versions = [
        version
        for name, version, _, _ in ENTRIES
        if canonicalize_name(name.partition("[")[0]) == canonicalize_name(requirement.name)
    ]
    assert versions, f"{requirement.name} is not in the lock: `make lock`"
    assert all(requirement.specifier.contains(version, prereleases=True) for version in versions), "`make lock`"


def test_every_dependency_of_the_program_has_a_range() -> None:
    extras = PROJECT["project"]["optional-dependencies"].values()
    listed = [PROJECT["project"]["dependencies"], *extras]
    open_ended = [line for lines in listed for line in lines if not re.search(r">=[\d.]+,<\d", line)]
    assert open_ended == []
