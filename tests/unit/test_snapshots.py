"""Snapshots of rule state: half written, spoilt and old ones never stand in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.evaluation import snapshots
from collector.evaluation.snapshots import Snapshot, Snapshots


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_newest_state_comes_back_as_it_was(tmp_path):
    assert Snapshots(tmp_path).load(10**9) is None
    Snapshots(tmp_path).save(5, {"a": b"one", "b": bytes(range(256))})
    Snapshots(tmp_path).save(9, {"a": b"two", "b": b""})
    assert Snapshots(tmp_path).load(10**9) == Snapshot(9, {"a": b"two", "b": b""})
    assert Snapshots(tmp_path).load(8) == Snapshot(5, {"a": b"one", "b": bytes(range(256))})
    assert Snapshots(tmp_path).load(4) is None


def test_two_are_kept_and_nothing_else_is_left_behind(tmp_path):
    kept = Snapshots(tmp_path)
    for position in range(1, 6):
        kept.save(position, {"same": b"same", "changing": b"%d" % position})
    assert kept.oldest() == 4
    assert len(written(tmp_path)) == 2 + 3
    assert Snapshots(tmp_path).load(4) == Snapshot(4, {"same": b"same", "changing": b"4"})


def test_a_part_that_did_not_change_is_not_written_again(tmp_path, monkeypatch):
    names = []
    write = snapshots._write
    monkeypatch.setattr(
        snapshots, "_write", lambda path, content: (names.append(path.parent.name), write(path, content))
    )
    kept = Snapshots(tmp_path)
    kept.save(1, {"a": b"x", "b": b"y"})
    kept.save(2, {"a": b"x", "b": b"z"})
    assert names.count("parts") == 3


@pytest.mark.parametrize("spoil", ["part", "manifest", "cut", "gone", "position"])
def test_a_spoilt_snapshot_is_named_and_the_one_before_serves(tmp_path, caplog, spoil):
    kept = Snapshots(tmp_path)
    kept.save(1, {"a": b"one"})
    kept.save(2, {"a": b"two"})
    manifest = tmp_path / f"{2:020d}.json"
    part = tmp_path / "parts" / snapshots.digest_of(b"two")
    match spoil:
        case "part":
            part.write_bytes(b"twO")
        case "manifest":
            manifest.write_bytes(b"{nonsense")
        case "cut":
            manifest.write_bytes(manifest.read_bytes()[:-10])
        case "gone":
            part.unlink()
        case "position":
            manifest.write_bytes(manifest.read_bytes().replace(b'"position":2', b'"position":3'))
    assert Snapshots(tmp_path).load(9) == Snapshot(1, {"a": b"one"})
    assert "a snapshot of the rules cannot be used" in caplog.text
    kept = Snapshots(tmp_path)
    kept.save(3, {"a": b"two"})
    assert Snapshots(tmp_path).load(9) == Snapshot(3, {"a": b"two"})


@pytest.mark.parametrize("fatal", range(1, 4))
def test_a_crash_while_writing_leaves_the_snapshots_before(tmp_path, monkeypatch, fatal):
    kept = Snapshots(tmp_path)
    kept.save(1, {"a": b"one", "b": b"one"})
    done = []
    rename = Path.rename

    def die(self, target):
        done.append(target)
        if len(done) == fatal:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", die)
    with pytest.raises(OSError, match="No space left"):
        kept.save(2, {"a": b"two", "b": b"three"})
    monkeypatch.undo()
    assert Snapshots(tmp_path).load(9) == Snapshot(1, {"a": b"one", "b": b"one"})
    kept.save(3, {"a": b"two", "b": b"three"})
    kept.save(4, {"a": b"four", "b": b"three"})
    assert Snapshots(tmp_path).load(3) == Snapshot(3, {"a": b"two", "b": b"three"})
    assert not [name for name in written(tmp_path) if name.endswith(".new")]
