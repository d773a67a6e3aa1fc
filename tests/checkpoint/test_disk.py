"""Full disks, crashes, damage: a clear error, and nothing lost."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from marl.checkpoint import checkpoint_name, files, find_checkpoint, keep_last, list_checkpoints, load_state, manifest, save_state, verify
from marl.errors import CheckpointError, RunError

STATE = {"learners": {"w": np.arange(1000.0)}, "iteration": 1}


def contents(path: Path) -> dict[str, bytes]:
    return {str(one.relative_to(path)): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()}


class FullDisk:
    """A file on a disk with room for ``free`` more bytes."""

    def __init__(self, file, budget):
        self.file, self.budget = file, budget

    def write(self, data):
        if len(data) > self.budget[0]:
            self.file.write(bytes(data)[: self.budget[0]])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.budget[0] -= len(data)
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


@pytest.mark.parametrize("free", [0, 100, 700, 5000, 8300])
def test_a_full_disk_leaves_the_last_checkpoint_whole(free, tmp_path, monkeypatch):
    save_state(tmp_path / "iteration_000001", STATE)
    save_state(tmp_path / "iteration_000002", STATE)
    before = contents(tmp_path)
    budget = [free]
    real = files.open_file
    monkeypatch.setattr(files, "open_file", lambda path: FullDisk(real(path), budget))
    for name in ("iteration_000003", "iteration_000002"):  # a new one, and over one that is there
        budget[0] = free
        with pytest.raises(RunError, match=rf"could not write the checkpoint .*{name}: No space left on device") as caught:
            save_state(tmp_path / name, {**STATE, "iteration": 3})
        assert "iteration_000001, iteration_000002" in str(caught.value)
        assert "MiB free" in str(caught.value)
    assert contents(tmp_path) == before
    assert load_state(tmp_path / "iteration_000002")["iteration"] == 1


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_really_full_disk(small_disk):
    save_state(small_disk / "iteration_000001", STATE)
    with pytest.raises(RunError, match="No space left on device"):
        save_state(small_disk / "iteration_000002", {"learners": {"w": np.zeros(1_000_000)}})
    assert [one.name for one in small_disk.iterdir()] == ["iteration_000001"]
    assert load_state(small_disk / "iteration_000001")["learners"]["w"].tolist() == STATE["learners"]["w"].tolist()
    save_state(small_disk / "iteration_000002", STATE)


def test_an_unwritable_place(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RunError, match=r"part of that path is a file"):
        save_state(tmp_path / "file" / "c", STATE)
    if os.geteuid() == 0:  # root may write anywhere: say what the system would have said

        def denied(self, *args, **kwargs):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

        monkeypatch.setattr(Path, "mkdir", denied)
    else:
        tmp_path.chmod(0o500)
    with pytest.raises(RunError, match=r"Permission denied.*make .* writable, or choose another run directory"):
        save_state(tmp_path / "c", STATE)


@pytest.mark.parametrize("cut", range(1, 13))
def test_a_process_killed_at_any_moment_leaves_the_last_one_whole(cut, tmp_path):
    """The process dies without a word at the ``cut``-th system call that matters, while it saves over a checkpoint."""
    path = save_state(tmp_path / "c", STATE)
    code = f"""
import os, sys
from pathlib import Path
import numpy as np
from marl.checkpoint import files, save_state
count = 0
def dying(real):
    def call(*args, **kwargs):
        global count
        count += 1
        if count == {cut}:
            os._exit(9)
        return real(*args, **kwargs)
    return call
os.fsync, Path.rename, files.open_file, files.shutil.rmtree = map(dying, (os.fsync, Path.rename, files.open_file, files.shutil.rmtree))
save_state({str(path)!r}, {{"learners": {{"w": np.arange(1000.0) + 1}}, "iteration": 2}})
"""
    died = subprocess.run([sys.executable, "-c", code], check=False).returncode
    state = load_state(path)
    assert state["iteration"] in ((1, 2) if died else (2,))
    assert state["learners"]["w"][0] == state["iteration"] - 1
    save_state(path, {**STATE, "iteration": 5})
    assert [one.name for one in tmp_path.iterdir()] == ["c"]
    assert load_state(path)["iteration"] == 5


@pytest.mark.parametrize("name", ["state/learners.safetensors", "state/learners.json", "state.json", "config.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_file_is_named(name, damage, tmp_path):
    save_state(tmp_path / "iteration_000001", STATE)
    path = save_state(tmp_path / "iteration_000002", STATE)
    file = path / name
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif damage == "cut":
        file.write_bytes(data[:-1])
    else:
        file.unlink()
    expected = {"flip": "SHA-256 differs", "cut": "cut short", "gone": "is missing"}[damage]
    with pytest.raises(CheckpointError) as caught:
        load_state(path)
    assert f"{name} " in str(caught.value)
    assert expected in str(caught.value)
    assert "iteration_000001" in str(caught.value)  # where to go on from
    verify(tmp_path / "iteration_000001")


def test_all_damaged_files_are_named_at_once(tmp_path):
    path = save_state(tmp_path / "c", STATE)
    (path / "config.json").unlink()
    (path / "state.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"(?s)config.json is missing.*state.json has 2 bytes"):
        verify(path)


def test_a_damaged_manifest(tmp_path):
    path = save_state(tmp_path / "c", STATE)
    file = path / "manifest.json"
    whole = file.read_text()
    file.write_text(whole[:100])
    with pytest.raises(CheckpointError, match=r"manifest\.json is damaged"):
        load_state(path)
    file.write_text(whole.replace('"created": "20', '"created": "21'))
    with pytest.raises(CheckpointError, match="checksum differs"):
        load_state(path)


def test_a_newer_format(tmp_path, monkeypatch):
    path = save_state(tmp_path / "c", STATE)
    monkeypatch.setattr(manifest, "FORMAT_VERSION", 0)
    with pytest.raises(CheckpointError, match=r"has checkpoint format 1, and this marl reads up to 0.*install that version or a newer one"):
        load_state(path)


def test_what_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load_state(tmp_path / "nowhere")
    save_state(tmp_path / "checkpoints" / "iteration_000001", STATE)
    with pytest.raises(CheckpointError, match=r"has no manifest.json. Checkpoints nearby: .*iteration_000001"):
        load_state(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"format": "other", "format_version": 1}))
    with pytest.raises(CheckpointError, match="its manifest says 'other'"):
        load_state(tmp_path)


def test_the_last_n_are_kept(tmp_path):
    for iteration in (1, 2, 10, 9):
        save_state(tmp_path / checkpoint_name(iteration), STATE)
    save_state(tmp_path / "best", STATE)
    (tmp_path / "iteration_000011.partial").mkdir()
    removed = keep_last(tmp_path, 2)
    assert [one.name for one in removed] == ["iteration_000001", "iteration_000002"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["best", "iteration_000009", "iteration_000010"]
    assert keep_last(tmp_path, None) == []
    with pytest.raises(ValueError, match="expected 1 or more"):
        keep_last(tmp_path, 0)


def test_a_crash_between_the_two_renames_loses_nothing_to_keep_last(tmp_path):
    save_state(tmp_path / checkpoint_name(1), STATE)
    (tmp_path / checkpoint_name(1)).rename(tmp_path / (checkpoint_name(1) + ".previous"))
    keep_last(tmp_path, 1)
    assert list_checkpoints(tmp_path) == [tmp_path / checkpoint_name(1)]


def test_a_run_or_a_checkpoint_is_found(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        find_checkpoint(tmp_path / "run")
    first = save_state(tmp_path / "run" / "checkpoints" / checkpoint_name(1), STATE)
    last = save_state(tmp_path / "run" / "checkpoints" / checkpoint_name(2), STATE)
    assert find_checkpoint(tmp_path / "run") == last
    assert find_checkpoint(tmp_path / "run" / "checkpoints") == last
    assert find_checkpoint(first) == first
    with pytest.raises(CheckpointError, match="neither a checkpoint nor a run with one"):
        find_checkpoint(tmp_path)
