"""A profile with a mistake is refused with its place and the nearest word."""

from __future__ import annotations

import pytest

from agent.profiles.files import load, load_folder, shipped
from forewarn.settings import SettingError

HEAD = "id: x\nkind: camera\nsrc: a test\n"
COLUMN = "  - table: host\n    src: a test\n    columns:\n"


def refused(text: str) -> str:
    with pytest.raises(SettingError) as caught:
        load(text, "x.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "matsch: {}\n", "x.yaml:4:1: unknown key `matsch`; did you mean `match`?"),
        ("id: x\nkind: camra\nsrc: a\n", "x.yaml:2:7: `kind`: `camra` is none of"),
        (
            "id: x\nkind: agent\nsrc: a\n",
            "`kind: agent` is the agent itself, which nobody polls: give what the device is",
        ),
        (
            HEAD + "tables:\n- {table: disk, src: a, label: [{oid: 1.3.6.2, by: index, order_of: 1.3.6.3}],"
            " columns: {media_errors: {oid: 1.3.6.1, type: gauge}}}\n",
            "a label goes by `by` or by `order_of`, not by both",
        ),
        (
            HEAD + "scalars:\n" + COLUMN + "      cpu_percnt: {oid: 1.3.6.1, type: gauge}\n",
            "x.yaml:8:7: table `host` has no field `cpu_percnt`; did you mean `cpu_percent`?",
        ),
        (
            HEAD + "scalars:\n" + COLUMN.replace("host", "hosts") + "      load1: {oid: 1.3.6.1, type: gauge}\n",
            "x.yaml:5:12: unknown table `hosts`; did you mean `host`?",
        ),
        (HEAD + "scalars:\n" + COLUMN + "      load1: {oid: 1.3.6.1}\n", "x.yaml:8:7: `load1` needs a `type`"),
        (
            HEAD + "scalars:\n" + COLUMN + "      load1: {oid: sysUpTime, type: gauge}\n",
            "x.yaml:8:20: `sysUpTime` is no OID",
        ),
        (
            HEAD + "scalars:\n" + COLUMN + "      load1: {oid: 1.3.6.1, type: gage}\n",
            "x.yaml:8:35: `type`: `gage` is none of",
        ),
        (
            HEAD
            + "scalars:\n"
            + COLUMN
            + "      load1: {value: 100 * lod5}\n      load5: {oid: 1.3.6.1, type: gauge}\n",
            "x.yaml:8:22: no column here is called `lod5`; did you mean `load5`?",
        ),
        (
            HEAD
            + "scalars:\n"
            + COLUMN
            + "      load1: {value: load5 ** 2}\n      load5: {oid: 1.3.6.1, type: gauge}\n",
            "a formula has numbers, names, + - * / and brackets only",
        ),
        (HEAD + "match: {any: [{sysdescr: '('}]}\n", "x.yaml:4:27: no regular expression"),
        (HEAD + "match: {any: [{probe: 1.3.6.1.5}]}\n", "x.yaml:4:23: a probe is a scalar, its OID ends in .0"),
        (HEAD + "inventory: {seriall: {oid: 1.3.6.1}}\n", "did you mean `serial`?"),
        (
            HEAD + "scalars:\n" + COLUMN + "      load1: {oid: 1.3.6.1, type: status}\n",
            "x.yaml:8:7: `load1` needs `codes`",
        ),
        (
            HEAD + "scalars:\n" + COLUMN + "      load1: {oid: 1.3.6.1, type: gauge, alt_scale: [0.1]}\n",
            "`alt_scale` of `load1` needs a `range`",
        ),
        (
            HEAD + "scalars:\n" + COLUMN + "      load1: {oid: 1.3.6.1, type: gauge, scale: 0}\n",
            "x.yaml:8:7: `scale` and `alt_scale` of `load1` are what a value is multiplied by: neither 0 nor endless",
        ),
        (
            HEAD + "scalars:\n" + COLUMN + "      load1: {value: 2 * load5}\n      load5: {value: 3 * load15}\n"
            "      load15: {oid: 1.3.6.1, type: gauge}\n",
            "x.yaml:8:7: `load1` needs `load5`, a formula that does not stand above it: put that one first",
        ),
        (
            HEAD + "scalars:\n" + COLUMN + "      load1: {value: 2 * load1}\n",
            "x.yaml:8:7: `load1` needs `load1`, a formula that does not stand above it",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(text, said):
    assert said in refused(text)


def test_every_mistake_is_told_at_once():
    text = HEAD + "scalars:\n" + COLUMN + "      load1: {oid: a, type: gauge}\n      lod5: {oid: b, type: gauge}\n"
    assert len(refused(text).splitlines()) == 3


def test_a_profile_of_the_site_replaces_the_shipped_one(tmp_path):
    (tmp_path / "mine.yaml").write_text(HEAD.replace("id: x", "id: generic"))
    profiles = load_folder(tmp_path)
    assert profiles["generic"].src == "a test"
    assert profiles.keys() == shipped().keys()


def test_two_profiles_of_one_name_are_refused(tmp_path):
    (tmp_path / "a.yaml").write_text(HEAD)
    (tmp_path / "b.yaml").write_text(HEAD)
    with pytest.raises(SettingError, match=r"b\.yaml:1:5: another profile is called `x`"):
        load_folder(tmp_path)


def test_every_shipped_group_says_where_its_facts_are_from():
    for profile in shipped().values():
        assert profile.src
        assert all(group.src for group in (*profile.scalars, *profile.tables))
