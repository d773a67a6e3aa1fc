"""Save and load the whole state of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from marl.checkpoint.files import ArrayReader, Folder, file_name, new_folder
from marl.checkpoint.manifest import NAME, Manifest, check_files, manifest_json, read_manifest
from marl.checkpoint.policies import PolicyRecord, policy_folder, write_policy
from marl.checkpoint.references import check_trust, references_in, resolver, unsaved_in
from marl.checkpoint.tree import ArrayTable, callable_names, decode, encode
from marl.errors import CheckpointError

CONFIG = "config.json"
_TOP = "state"  # state.json: the order of the keys at the top, and those values that are no dict


def save_state(
    path: str | Path,
    state: Mapping[str, Any],
    *,
    config: Mapping[str, Any] | None = None,
    policies: Iterable[PolicyRecord] = (),
    meta: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint at ``path``, whole or not at all.

    Every dict at the top of ``state`` gets files of its own (``learners`` → ``state/learners.json`` and ``.safetensors``).

    Args:
        state: nested dict, str keys at the top; leaves as :mod:`marl.checkpoint.tree` lists them.
        config: the run's configuration, from which :func:`load_env` makes the environment; functions and classes are saved by name.
        policies: what :func:`load_policy` needs of each policy.
        meta: small and plain; read back without touching the rest (``read_manifest(path).meta``).

    Returns:
        The absolute path of the checkpoint.

    Raises:
        CheckpointError: something in ``state`` cannot be saved.
        RunError: the disk is full, the directory not writable, …; a checkpoint that stood there before is untouched.
    """
    target = Path(path).absolute()
    with new_folder(target) as folder:
        rest = {key: value for key, value in state.items() if not isinstance(value, Mapping)}
        _write_tree(folder, _TOP, {"order": list(state), "rest": rest})
        for key, value in state.items():
            if key not in rest:
                _write_tree(folder, _stem(key), value)
        _write_tree(folder, CONFIG.removesuffix(".json"), dict(config or {}), mark_unsaved=True)
        records = list(policies)
        folders = {record.spec.policy_id: policy_folder(record.spec.policy_id) for record in records}
        for record in records:
            write_policy(folder, record)
        learned = [record.spec.policy_id for record in records if record.learned]
        plain_meta = encode(dict(meta or {}), ArrayTable())
        folder.write_json(NAME, manifest_json(folder.records, folders, learned, plain_meta))
    return target


def load_state(path: str | Path, *, trust: Sequence[str] = ()) -> dict[str, Any]:
    """The state that :func:`save_state` wrote, after every file was held against its hash.

    Arrays and tensors come back with the dtype, shape and bits they had; two places that shared one array share one again.

    Raises:
        CheckpointError: the checkpoint is missing, damaged, of a newer format, or names code outside ``trust``.
    """
    manifest = verify(path)
    top = _read_tree(manifest, _TOP, trust)
    return {key: top["rest"][key] if key in top["rest"] else _read_tree(manifest, _stem(key), trust) for key in top["order"]}


def load_part(path: str | Path, key: str, *, trust: Sequence[str] = ()) -> Any:
    """One dict at the top of a saved state (``progress``), or None if it has none; nothing else is read.

    Raises:
        CheckpointError: as :func:`load_state`.
    """
    manifest = read_manifest(path)
    names = [name for name in manifest.files if name.rpartition(".")[0] == _stem(key)]
    check_files(manifest, names)
    return _read_tree(manifest, _stem(key), trust) if names else None


def load_config(path: str | Path, *, trust: Sequence[str] = (), given: Iterable[str] = ()) -> dict[str, Any]:
    """The configuration of the run that saved ``path``, as data.

    Args:
        trust: packages whose code the configuration may name.
        given: keys that are left out: the caller has its own.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or the configuration names code outside ``trust``, or code that
            could not be saved: nothing that it names was imported, and all of it is named in the message.
    """
    manifest = read_manifest(path)
    check_files(manifest, [CONFIG])
    data = json.loads((manifest.path / CONFIG).read_bytes())
    kept = {key: value for key, value in data.items() if key not in set(given)}
    tagged = [(key.replace("/", "."), name) for key, name in callable_names(kept)]
    told = {f"{key}.name" for key, _ in tagged}
    names = tagged + references_in(kept) + [one for one in unsaved_in(kept) if one[0] not in told]
    check_trust(names, trust, where=f"the checkpoint {manifest.path}")
    reader = ArrayReader(manifest.path, "config", frozenset(manifest.files))
    return dict(decode(kept, reader, resolver(trust, where=f"the checkpoint {manifest.path}")))


def verify(path: str | Path) -> Manifest:
    """Hold every file of a checkpoint against its hash, and return the manifest.

    Raises:
        CheckpointError: it is missing, damaged or of a newer format; every damaged file is named.
    """
    manifest = read_manifest(path)
    check_files(manifest)
    return manifest


def _stem(key: str) -> str:
    return f"state/{file_name(key)}"


def _write_tree(folder: Folder, stem: str, value: Any, *, mark_unsaved: bool = False) -> None:
    table = ArrayTable(mark_unsaved)
    try:
        data = encode(value, table)
    except CheckpointError as error:
        raise CheckpointError(f"{stem} cannot be saved: {error}") from None
    folder.write_json(f"{stem}.json", data)
    folder.write_arrays(stem, table.arrays)


def _read_tree(manifest: Manifest, stem: str, trust: Sequence[str]) -> Any:
    where = f"the checkpoint {manifest.path}"
    data = json.loads((manifest.path / f"{stem}.json").read_bytes())
    check_trust([(f"{stem}/{key}", name) for key, name in callable_names(data)], trust, where=where)
    return decode(data, ArrayReader(manifest.path, stem, frozenset(manifest.files)), resolver(trust, where=where))
