"""What the agent remembers of its devices survives a restart; a broken file is no harm."""

from __future__ import annotations

import logging
import os

import pytest

from agent.devices.remembered import FILE, Memory, Remembered


def test_what_was_learned_is_there_again_after_a_restart(tmp_path):
    memory = Memory(tmp_path, ["cam", "nvr"])
    memory.devices["cam"].packing, memory.devices["cam"].identity = 13, {"serial": "A1"}
    memory.save()
    again = Memory(tmp_path, ["cam", "new"])
    assert again.devices["cam"] == Remembered(packing=13, identity={"serial": "A1"})
    assert set(again.devices) == {"cam", "new"}, "of the devices in the settings, and no others"


def test_nothing_is_written_when_nothing_changed(tmp_path):
    memory = Memory(tmp_path, ["cam"])
    memory.save()
    assert not (tmp_path / FILE).exists()
    memory.devices["cam"].packing = 13
    memory.save()
    before = (tmp_path / FILE).stat().st_mtime_ns
    memory.save()
    assert (tmp_path / FILE).stat().st_mtime_ns == before


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root may give a file away")
def test_what_another_account_writes_stays_the_agent_s(tmp_path):
    os.chown(tmp_path, 12345, 12346)
    memory = Memory(tmp_path, ["cam"])
    memory.devices["cam"].packing = 13
    memory.save()
    found = (tmp_path / FILE).stat()
    assert (found.st_uid, found.st_gid) == (12345, 12346)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"cam": {"packing": "many"}}', b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_begun_anew_and_named(tmp_path, content, caplog):
    (tmp_path / FILE).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        memory = Memory(tmp_path, ["cam"])
    assert memory.devices == {"cam": Remembered()}
    assert "learned anew" in caplog.text


def test_a_device_cannot_make_the_file_grow(tmp_path):
    memory = Memory(tmp_path, ["cam"])
    memory.devices["cam"].identity = {"serial": "A" * 100_000}
    memory.save()
    assert (tmp_path / FILE).stat().st_size < 1000


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    memory = Memory(tmp_path / "gone", ["cam"])
    memory.devices["cam"].packing = 2
    with caplog.at_level(logging.WARNING):
        memory.save()
    assert "not kept" in caplog.text
