"""A profile takes over what it extends by rules that can be foretold."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.profiles.files import Profile, library, load, load_folder, shipped
from forewarn.settings import SettingError
from forewarn.vocabulary import DeviceKind

BASE = """
id: base
abstract: true
src: RFC 1
inventory:
  model: {oid: 1.3.1.0}
  serial: {oid: 1.3.2.0}
quirks: {max_varbinds: 20}
tables:
  - table: fan
    src: RFC 1
    rows: 1.3.9.1
    label: [1.3.9.2]
    columns:
      speed_rpm: {oid: 1.3.9.1, type: gauge}
      status: {oid: 1.3.9.3, type: status, codes: {1: ok}}
"""


def written(folder: Path, *texts: str) -> dict[str, Profile]:
    for number, text in enumerate(texts):
        (folder / f"{number}.yaml").write_text(text)
    return library(sorted(folder.glob("*.yaml")))


def refused(folder: Path, *texts: str) -> str:
    with pytest.raises(SettingError) as caught:
        written(folder, *texts)
    return str(caught.value).replace(f"{folder}/", "")


def test_a_group_of_the_same_name_is_taken_over_column_by_column(tmp_path):
    child = """
id: child
kind: server
extends: [base]
match: {any: [{sysdescr: child}]}
inventory: {model: {oid: 1.3.1.7}}
quirks: {nonincreasing_ok: true}
tables:
  - table: fan
    src: the child's manual
    label: [index.1]
    columns:
      status: {oid: 1.3.9.4, type: status, codes: {0: ok}}
"""
    found = written(tmp_path, BASE, child)["child"]
    (fan,) = found.tables
    assert {str(name): str(column.oid) for name, column in fan.columns.items()} == {
        "speed_rpm": "1.3.9.1",
        "status": "1.3.9.4",
    }
    assert (fan.rows, fan.label, fan.src) == ("1.3.9.1", ["index.1"], "RFC 1; the child's manual")
    assert {str(name): text.oid for name, text in found.inventory.items()} == {"model": "1.3.1.7", "serial": "1.3.2.0"}
    assert (found.quirks.max_varbinds, found.quirks.nonincreasing_ok) == (20, True)
    assert found.extended == ("base",)


def test_a_group_is_replaced_whole_or_goes_on_beside_another_when_asked(tmp_path):
    child = """
id: child
kind: server
extends: [base]
tables:
  - table: fan
    replace: true
    src: mine
    columns: {speed_rpm: {oid: 1.3.8.1, type: gauge}}
  - table: fan
    id: second
    src: mine
    columns: {speed_rpm: {oid: 1.3.7.1, type: gauge}}
"""
    fan, second = written(tmp_path, BASE, child)["child"].tables
    assert list(fan.columns) == ["speed_rpm"]
    assert (fan.rows, fan.label) == (None, [])
    assert (second.name, second.row_column()) == ("second", "1.3.7.1")


def test_groups_columns_and_texts_can_be_left_out(tmp_path):
    child = "id: child\nkind: server\nextends: [base]\nwithout: [serial, fan]\n"
    other = "id: other\nkind: server\nextends: [base]\ntables: [{table: fan, without: [status]}]\n"
    found = written(tmp_path, BASE, child, other)
    assert (found["child"].tables, list(found["child"].inventory)) == ([], ["model"])
    assert list(found["other"].tables[0].columns) == ["speed_rpm"]


def test_a_later_parent_counts_before_an_earlier_one_and_both_before_what_they_extend(tmp_path):
    one = "id: one\nabstract: true\nextends: [base]\ninventory: {model: {text: one}, vendor: {text: one}}\n"
    two = "id: two\nabstract: true\ninventory: {vendor: {text: two}}\ninterval: 5m\n"
    child = "id: child\nkind: ups\nextends: [one, two]\n"
    found = written(tmp_path, BASE, one, two, child)["child"]
    assert {str(name): text.text or str(text.oid) for name, text in found.inventory.items()} == {
        "model": "one",
        "serial": "1.3.2.0",
        "vendor": "two",
    }
    assert found.extended == ("base", "one", "two")
    assert found.interval == 300


def test_a_profile_of_the_site_extends_the_shipped_one_by_the_same_id(tmp_path):
    mine = "id: hikvision.recorder\nextends: [hikvision.recorder]\ninventory: {location: {text: rack 7}}\n"
    (tmp_path / "mine.yaml").write_text(mine)
    found = load_folder(tmp_path)["hikvision.recorder"]
    given = shipped()["hikvision.recorder"]
    assert found.inventory.keys() == given.inventory.keys() | {"location"}
    assert (found.match, found.kind, found.tables) == (given.match, DeviceKind.RECORDER, given.tables)


def test_a_base_of_the_site_reaches_every_family_that_extends_it(tmp_path):
    (tmp_path / "a.yaml").write_text("id: std.interfaces\nabstract: true\nextends: [std.interfaces]\n")
    text = (tmp_path / "a.yaml").read_text() + "tables: [{table: interface, without: [admin_up]}]\n"
    (tmp_path / "a.yaml").write_text(text)
    found = load_folder(tmp_path)
    assert "admin_up" in shipped()["switch.generic"].tables[0].columns
    for name in ("switch.generic", "generic", "server.host-resources"):
        (interface,) = (group for group in found[name].tables if group.table == "interface")
        assert "admin_up" not in interface.columns


def test_bases_are_no_profiles_of_devices():
    assert not [name for name in shipped() if name.startswith("std.")]
    assert {name for name, profile in library().items() if profile.abstract} == {
        name for name in library() if name.startswith("std.")
    }


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (
            ["id: a\nkind: ups\nextends: [std.interface]\n"],
            "0.yaml:3:11: no profile is called `std.interface`; did you mean `std.interfaces`?",
        ),
        (
            ["id: a\nkind: ups\nextends: [b]\n", "id: b\nkind: ups\nextends: [a]\n"],
            "profiles extend each other in a circle: a → b → a",
        ),
        (["id: a\nkind: ups\nextends: [a]\n"], "0.yaml:3:11: `a` extends itself, and no shipped profile is called so"),
        ([BASE, "id: a\nextends: [base]\n"], "1.yaml:1:5: `kind` is missing: is `a` a camera, a switch?"),
        (
            [BASE, "id: a\nkind: ups\nextends: [base]\nwithout: [seriall]\n"],
            "1.yaml:4:11: `a` has no group and no inventory text called `seriall`; did you mean `serial`?",
        ),
        (
            [BASE, "id: a\nkind: ups\nextends: [base]\ntables: [{table: fan, without: [statis]}]\n"],
            "1.yaml:4:33: no column here is called `statis`; did you mean `status`?",
        ),
        (
            [BASE + BASE[BASE.index("  - table") :]],
            "another group here is called `fan`: give one of them an `id`",
        ),
    ],
)
def test_a_mistake_in_extending_is_named_with_its_place(tmp_path, texts, said):
    assert said in refused(tmp_path, *texts)


def test_a_mistake_in_a_base_is_told_once_and_where_it_stands(tmp_path):
    base = BASE.replace("speed_rpm: {", "speed_rpn: {")
    children = [f"id: {name}\nkind: ups\nextends: [base]\n" for name in "ab"]
    told = refused(tmp_path, base, *children).splitlines()
    assert told == ["0.yaml:15:7: table `fan` has no field `speed_rpn`; did you mean `speed_rpm`?"]


def test_a_file_that_cannot_be_read_is_told_and_not_what_misses_it(tmp_path):
    told = refused(tmp_path, BASE.replace("id: base", "idd: base"), "id: a\nkind: ups\nextends: [base]\n")
    assert "unknown key `idd`" in told
    assert "no profile is called" not in told


def test_one_profile_may_extend_a_shipped_one():
    found = load("id: mine\nextends: [ups.rfc1628]\nmatch: {priority: 40, all: [{sysdescr: Mine}]}\n", "x.yaml")
    assert found.kind is DeviceKind.UPS
    assert found.match is not None
    assert found.match.priority == 40
