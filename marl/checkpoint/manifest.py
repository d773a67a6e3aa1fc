"""The manifest: what a checkpoint is, who wrote it, and the hash of every file in it."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from marl.checkpoint.files import FileRecord, check_file, finish_replacing, whole_folders
from marl.checkpoint.references import resolver
from marl.checkpoint.tree import decode
from marl.errors import CheckpointError

FORMAT = "marl-checkpoint"
FORMAT_VERSION = 1
NAME = "manifest.json"
_PACKAGES = ("marl-framework", "numpy", "gymnasium", "safetensors", "torch", "pettingzoo", "mpe2")


@dataclass(frozen=True)
class Manifest:
    """The manifest of one checkpoint.

    Attributes:
        path: the checkpoint's directory.
        created: when it was written (UTC, ISO 8601).
        versions: package → version that wrote it.
        files: name → hash, size and kind.
        policies: policy id → the folder of its description and weights.
        learned: ids of the policies that an algorithm improves.
        meta: what the trainer wanted to have at hand without reading the state (counters, the run's name, …).
    """

    path: Path
    created: str
    versions: Mapping[str, str]
    files: Mapping[str, FileRecord]
    policies: Mapping[str, str]
    learned: tuple[str, ...]
    meta: Mapping[str, Any]


def manifest_json(
    files: Mapping[str, FileRecord], policies: Mapping[str, str], learned: Iterable[str], meta: Mapping[str, Any]
) -> dict[str, Any]:
    """The manifest of a folder whose files are all written."""
    body = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "meta": dict(meta),
        "policies": dict(policies),
        "learned": list(learned),
        "files": {name: record.to_json() for name, record in sorted(files.items())},
    }
    return {**body, "checksum": _checksum(body)}


def read_manifest(path: str | Path) -> Manifest:
    """The manifest of the checkpoint at ``path``; none of its other files are looked at.

    Raises:
        CheckpointError: it is no checkpoint, its manifest is damaged, or a newer marl wrote it.
    """
    folder = Path(path)
    finish_replacing(folder.absolute())
    file = folder / NAME
    if not folder.exists():
        raise CheckpointError(f"there is no checkpoint {folder}.{_nearby(folder)}")
    if not file.is_file():
        raise CheckpointError(f"{folder} is no checkpoint: it has no {NAME}.{_nearby(folder)}")
    try:
        data = json.loads(file.read_bytes())
        kind, number = data["format"], data["format_version"]
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file} is damaged ({error}); take another checkpoint.{_nearby(folder)}") from error
    if kind != FORMAT:
        raise CheckpointError(f"{folder} is no checkpoint of marl: its manifest says {kind!r}, expected {FORMAT!r}.")
    if not isinstance(number, int) or number > FORMAT_VERSION:
        writer = data.get("versions", {}).get("marl-framework", "a newer one")
        raise CheckpointError(
            f"{folder} has checkpoint format {number}, and this marl reads up to {FORMAT_VERSION}. marl-framework {writer} wrote it; "
            "install that version or a newer one. The checkpoint was not changed."
        )
    stated = data.pop("checksum", None)
    if stated != _checksum(data):
        raise CheckpointError(f"{file} is damaged (its checksum differs); take another checkpoint.{_nearby(folder)}")
    files = {name: FileRecord(one["sha256"], one["bytes"], one["kind"]) for name, one in data["files"].items()}
    return Manifest(folder, data["created"], data["versions"], files, data["policies"], tuple(data["learned"]), _meta(data["meta"]))


def _meta(data: Any) -> dict[str, Any]:
    def no_array(name: str) -> Any:
        raise CheckpointError(f"the manifest names an array {name!r}; expected plain values.")

    return dict(decode(data, no_array, resolver((), where="the manifest")))


def check_files(manifest: Manifest, names: Iterable[str] | None = None) -> None:
    """Hold files (default: all) against their hashes.

    Raises:
        CheckpointError: some are missing, cut short or changed; all of them are named.
    """
    wanted = manifest.files if names is None else list(names)
    wrong = [found for name in wanted if (found := check_file(manifest.path, name, manifest.files[name])) is not None]
    if wrong:
        lines = "\n".join(f"  {one}" for one in wrong)
        raise CheckpointError(f"the checkpoint {manifest.path} is damaged:\n{lines}\nTake another one.{_nearby(manifest.path)}")


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _nearby(path: Path) -> str:
    """`` Whole checkpoints nearby: …`` where there are some."""
    parents = [path / "checkpoints", path, path.parent]
    found = next((here for parent in parents if (here := [one for one in whole_folders(parent) if one.absolute() != path.absolute()])), [])
    return f" Checkpoints nearby: {', '.join(str(one) for one in found[-3:])}." if found else ""
