"""Files of a checkpoint: written once, hashed on the way, forced to the disk; checked against their hash before they are read.

A folder is written beside its place and renamed into it, so that a crash, a full disk or a closed laptop leaves the last one whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from marl.errors import CheckpointError, RunError

PARTIAL, PREVIOUS = ".partial", ".previous"
_CHUNK = 1 << 20

# numpy dtype → the name that safetensors gives it; other dtypes go to NPZ.
SAFETENSORS_DTYPES = {
    np.dtype(name): code
    for name, code in {
        "?": "BOOL", "u1": "U8", "i1": "I8", "<u2": "U16", "<i2": "I16", "<u4": "U32", "<i4": "I32", "<u8": "U64", "<i8": "I64",
        "<f2": "F16", "<f4": "F32", "<f8": "F64",
    }.items()
}  # fmt: skip


@dataclass(frozen=True)
class FileRecord:
    """What the manifest knows of one file."""

    sha256: str
    num_bytes: int
    kind: str

    def to_json(self) -> dict[str, Any]:
        return {"sha256": self.sha256, "bytes": self.num_bytes, "kind": self.kind}


class Folder:
    """A checkpoint that is being written: every file goes through :meth:`write`, and ``records`` fills as they do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, FileRecord] = {}

    def write_json(self, name: str, value: Any) -> None:
        indent = None if name.startswith("state/") else 1  # what people read is laid out; logs of actions are long
        text = json.dumps(value, indent=indent, ensure_ascii=True, allow_nan=False)
        self.write(name, "json", lambda put: put((text + "\n").encode("ascii")))

    def write_arrays(self, stem: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """``stem.safetensors``, and ``stem.npz`` for dtypes that safetensors lacks (fixed-length strings, records, big-endian)."""
        plain = {name: array for name, array in arrays.items() if array.dtype in SAFETENSORS_DTYPES}
        rest = {name: array for name, array in arrays.items() if name not in plain}
        if plain:
            self.write(f"{stem}.safetensors", "safetensors", lambda put: _put_safetensors(plain, put))
        if rest:
            self.write(f"{stem}.npz", "npz", lambda put: _put_npz(rest, put))

    def write(self, name: str, kind: str, fill: Callable[[Callable[[Any], None]], None]) -> None:
        """Make one file: ``fill(put)`` calls ``put(bytes)`` as often as it likes."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with open_file(path) as file:

            def put(data: Any) -> None:
                nonlocal size
                digest.update(data)
                file.write(data)
                size += len(data)

            fill(put)
            file.flush()
            os.fsync(file.fileno())
        self.records[name] = FileRecord(digest.hexdigest(), size, kind)


def file_name(key: str) -> str:
    """``key`` as the name of a file, whatever characters it holds."""
    return quote(key, safe="@+= ").replace(".", "%2E")


def open_file(path: Path) -> IO[bytes]:
    """Where every byte of a checkpoint goes through."""
    return path.open("wb")


@contextmanager
def new_folder(path: Path, *, what: str = "checkpoint") -> Iterator[Folder]:
    """Write a folder beside ``path`` and, if all went well, put it there at once.

    A folder that stood at ``path`` before is replaced only then; if anything fails it is untouched.

    Raises:
        RunError: the disk is full, the directory not writable, …; what was half written is gone again.
    """
    path = path.absolute()
    partial, previous = path.with_name(path.name + PARTIAL), path.with_name(path.name + PREVIOUS)
    try:
        finish_replacing(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if partial.exists():  # a crash in an earlier attempt
            shutil.rmtree(partial)
        partial.mkdir()
        folder = Folder(partial)
        yield folder
        for directory in {partial, *(entry.parent for entry in partial.rglob("*"))}:
            _sync_directory(directory)
        if path.exists():
            path.rename(previous)
        partial.rename(path)
        _sync_directory(path.parent)
        shutil.rmtree(previous, ignore_errors=True)
    except OSError as error:
        raise RunError(_disk_trouble(error, path, what)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def finish_replacing(path: Path) -> None:
    """Put back what stood at ``path``, if the process died between taking it away and putting the new one there."""
    previous = path.with_name(path.name + PREVIOUS)
    if previous.exists():
        if path.exists():
            shutil.rmtree(previous, ignore_errors=True)
        else:
            previous.rename(path)


def _disk_trouble(error: OSError, path: Path, what: str) -> str:
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        mend = f"free some space on the disk of {path.parent} ({_free_space(path)} free), or choose another run directory"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        mend = f"make {path.parent} writable, or choose another run directory"
    elif error.errno in (errno.ENOTDIR, errno.EEXIST):
        mend = "part of that path is a file; choose another place"
    else:
        mend = "mend that, or choose another run directory"
    whole = whole_folders(path.parent)
    kept = f"What was there is untouched: {', '.join(one.name for one in whole)}." if whole else "Nothing was there before."
    return f"could not write the {what} {path}: {reason}. {kept} To go on, {mend}."


def whole_folders(parent: Path) -> list[Path]:
    """Finished checkpoints in a directory, oldest name first."""
    try:
        return sorted(one for one in parent.iterdir() if not one.name.endswith((PARTIAL, PREVIOUS)) and (one / "manifest.json").is_file())
    except OSError:
        return []


def _free_space(path: Path) -> str:
    try:
        return f"{shutil.disk_usage(path.parent).free / 2**20:.0f} MiB"
    except OSError:
        return "?"


def _sync_directory(path: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):  # where directories cannot be opened, renames are as durable as they get
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# ------------------------------------------------------------------ arrays


def _put_safetensors(arrays: Mapping[str, NDArray[Any]], put: Callable[[Any], None]) -> None:
    """The safetensors format, array after array: the library's own writer would hold a second copy of everything in memory."""
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))  # widest first keeps every array aligned
    header: dict[str, Any] = {}
    start = 0
    for name in order:
        end = start + arrays[name].nbytes
        header[name] = {"dtype": SAFETENSORS_DTYPES[arrays[name].dtype], "shape": list(arrays[name].shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    put(len(text).to_bytes(8, "little") + text)
    for name in order:
        if arrays[name].nbytes:
            put(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)


def _put_npz(arrays: Mapping[str, NDArray[Any]], put: Callable[[Any], None]) -> None:
    buffer = BytesIO()
    names = list(arrays)
    np.savez(buffer, **{"__names__": np.array(names), **{f"a{index}": arrays[name] for index, name in enumerate(names)}})  # type: ignore[arg-type]
    put(buffer.getbuffer())


class ArrayReader:
    """The arrays that :meth:`Folder.write_arrays` wrote, one object per name however often it is asked for."""

    def __init__(self, folder: Path, stem: str, names: frozenset[str]) -> None:
        self._arrays: dict[str, NDArray[Any]] = {}
        if f"{stem}.safetensors" in names:
            from safetensors.numpy import load_file  # loaded on use: plain runs that never restore do without

            self._arrays.update(load_file(folder / f"{stem}.safetensors"))
        if f"{stem}.npz" in names:
            with np.load(folder / f"{stem}.npz", allow_pickle=False) as archive:
                for index, name in enumerate(archive["__names__"].tolist()):
                    self._arrays[name] = archive[f"a{index}"]

    def __call__(self, name: str) -> NDArray[Any]:
        try:
            return self._arrays[name]
        except KeyError:
            raise CheckpointError(f"the array {name!r} is not in the checkpoint; it was changed after it was saved.") from None

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        return self._arrays


# ------------------------------------------------------------------ checking


def hash_file(path: Path) -> tuple[str, int]:
    """``(SHA-256, bytes)`` of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def check_file(folder: Path, name: str, record: FileRecord) -> str | None:
    """What is wrong with one file of a checkpoint, or None."""
    path = folder / name
    try:
        size = path.stat().st_size
        if size != record.num_bytes:
            return f"{name} has {size:,} bytes, expected {record.num_bytes:,}: it is cut short or was changed"
        if hash_file(path)[0] != record.sha256:
            return f"{name} is not what was saved (SHA-256 differs)"
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}"
    return None
