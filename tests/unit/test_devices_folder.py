"""Devices in files of their own are devices like all others, and mistakes in them are told with their file."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.settings import Settings, load
from forewarn.settings import SettingError

LEAST = "site: s\nagent: a\nshard: 1\nsecret: x\nbroker: {host: h}\n"
BY_HAND = "credentials: {floor: {community: c}}\ndevices: [{name: cam, address: 192.0.2.1, switch: sw}]\n"


def written(folder: Path, **files: str) -> Path:
    (folder / "more").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "more" / name.replace("_", ".")).write_text(text)
    path = folder / "agent.yaml"
    path.write_text(f"{LEAST}{BY_HAND}devices_folder: {folder / 'more'}\n")
    return path


def read(path: Path) -> Settings:
    return load(path, env={})


def test_all_files_of_the_folder_are_taken_in_and_links_and_credentials_go_across(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        b_yaml="devices:\n- {name: nvr, address: 192.0.2.3}\n",
        a_yml="devices:\n- {name: sw, address: 192.0.2.2, credential: floor}\n",
        c_yaml="devices:\n",
        notes_txt="no yaml: [",
    )
    (tmp_path / "more" / ".hidden.yaml").write_text("[")
    settings = read(path)
    assert [str(device.name) for device in settings.devices] == ["cam", "sw", "nvr"]
    assert settings.devices[1].access().community == "c"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("devices:\n- {name: sw, adress: 192.0.2.2}\n", "sw.yaml:2:14: unknown key `adress`; did you mean `address`?"),
        (
            "devices:\n- {name: sw, address: 192.0.2.2, credential: flor}\n",
            "sw.yaml:2:46: there is no credential `flor`",
        ),
        ("devices:\n- {name: sw, address: 192.0.2.2, switch: sx}\n", "sw.yaml:2:42: `switch`: there is no device `sx`"),
        ("devices:\n- {name: cam, address: 192.0.2.2}\n", "`cam` names another device already"),
        ("site: s\n", "sw.yaml:1:1: unknown key `site`"),
    ],
)
def test_a_mistake_is_told_with_its_file_and_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingError) as wrong:
        read(written(tmp_path, sw_yaml=text))
    assert says in str(wrong.value)


def test_a_folder_that_is_not_there_is_a_mistake_and_not_silence(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "more").rmdir()
    with pytest.raises(SettingError, match=r"agent\.yaml:8:17: there is no folder .*more: make it"):
        read(path)


def test_networks_to_look_in_are_networks(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(f"{LEAST}discovery: {{enabled: true, networks: [10.0.0.0/24, 10.0.0.0/33]}}\n")
    with pytest.raises(SettingError, match=r"`10\.0\.0\.0/33` is no network, write it like 192\.168\.1\.0/24"):
        read(path)
