"""One policy of a checkpoint, on its own: saved so that it can be played without the run, the trainer or the environment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from marl.algorithm import Algorithm
from marl.checkpoint.files import ArrayReader, Folder, file_name
from marl.checkpoint.folder import find_checkpoint
from marl.checkpoint.manifest import Manifest, check_files, read_manifest
from marl.checkpoint.references import check_trust, import_trusted, is_reference, references_in, resolver
from marl.checkpoint.tree import ArrayTable, callable_names, decode, encode
from marl.config import find_algorithm
from marl.errors import CheckpointError, PluginError, did_you_mean
from marl.players import ConstantPolicy, Player, RandomPolicy, ScriptedPlayer
from marl.policy import Counters, Discount, Policy, PolicySpec
from marl.spaces import space_from_json, space_to_json


@dataclass(frozen=True)
class PolicyRecord:
    """What a checkpoint keeps of one policy, besides the learner's state.

    Attributes:
        spec: its spaces, configuration and discount.
        kind: ``"algorithm"`` (built by a plugin's ``make_policy``) or ``"player"`` (random, constant, a bot).
        source: the algorithm's entry point, or the player: ``"random"``, ``"constant"``, ``"module:name"``.
        weights: what ``get_weights()`` gave. Tensors that ``spec.shared`` gives to another policy are saved there alone.
        version, counters: of the weights.
        learned: whether an algorithm improves it.
    """

    spec: PolicySpec
    kind: Literal["algorithm", "player"]
    source: str
    weights: Mapping[str, NDArray[Any]]
    version: int = 0
    counters: Counters = field(default_factory=Counters)
    learned: bool = True


def policy_folder(policy_id: str) -> str:
    """The folder of a policy in a checkpoint; ids may hold characters that no file name does."""
    return f"policies/{file_name(policy_id)}"


def write_policy(folder: Folder, record: PolicyRecord) -> None:
    """Write one policy's description and weights."""
    spec, stem = record.spec, policy_folder(record.spec.policy_id)
    table = ArrayTable(mark_unsaved=True)
    own = {name: array for name, array in record.weights.items() if name not in spec.shared}
    description = {
        "policy_id": spec.policy_id,
        "kind": record.kind,
        "source": record.source,
        "learned": record.learned,
        "observation_space": space_to_json(spec.observation_space),
        "action_space": space_to_json(spec.action_space),
        "global_state_space": None if spec.global_state_space is None else space_to_json(spec.global_state_space),
        "config": _plain_config(spec.config),
        "discount": asdict(spec.discount),
        "agents": spec.agents,
        "group": None
        if spec.group is None
        else [[member, space_to_json(seen), space_to_json(done)] for member, (seen, done) in spec.group.items()],
        "shared": dict(spec.shared),
        "version": record.version,
        "counters": asdict(record.counters),
        "weights": own,
    }
    folder.write_json(f"{stem}/policy.json", encode(description, table))
    folder.write_arrays(f"{stem}/policy", table.arrays)


def _plain_config(config: Any) -> Any:
    return config.model_dump() if hasattr(config, "model_dump") else config


def read_policy(path: str | Path, policy_id: str | None = None, *, trust: Sequence[str] = ()) -> PolicyRecord:
    """One policy of a checkpoint; only its own files (and those of policies it shares tensors with) are read.

    Args:
        path: a checkpoint, or a run's directory (its last one).
        policy_id: may be left out if the run has one learned policy.
        trust: packages that the policy's configuration may import from.

    Raises:
        CheckpointError: there is no such policy, its files are damaged, or it needs trust.
    """
    manifest = read_manifest(find_checkpoint(path))
    chosen = _choose(manifest, policy_id)
    data = _description(manifest, chosen, trust)
    weights = data["weights"]
    for owner in dict.fromkeys(data["shared"].values()):
        theirs = _description(manifest, owner, trust)["weights"]
        weights |= {name: theirs[name] for name, of in data["shared"].items() if of == owner}
    group = data["group"]
    spec = PolicySpec(
        policy_id=chosen,
        observation_space=space_from_json(data["observation_space"]),
        action_space=space_from_json(data["action_space"]),
        config=data["config"],
        discount=Discount(**data["discount"]),
        agents=data["agents"],
        group=None if group is None else {member: (space_from_json(seen), space_from_json(done)) for member, seen, done in group},
        global_state_space=None if data["global_state_space"] is None else space_from_json(data["global_state_space"]),
        shared=data["shared"],
    )
    return PolicyRecord(spec, data["kind"], data["source"], weights, data["version"], Counters(**data["counters"]), data["learned"])


def _choose(manifest: Manifest, policy_id: str | None) -> str:
    known = manifest.policies
    if policy_id is not None:
        if policy_id not in known:
            raise CheckpointError(f"the checkpoint {manifest.path} has no policy {policy_id!r}.{did_you_mean(policy_id, known)}")
        return policy_id
    if len(manifest.learned) == 1:
        return manifest.learned[0]
    if not known:
        raise CheckpointError(f"the checkpoint {manifest.path} holds no policies.")
    many = ", ".join(manifest.learned) if manifest.learned else "none"
    raise CheckpointError(
        f"the checkpoint {manifest.path} has several policies or none that learns (learned: {many}; all: {', '.join(known)}); "
        "say which: load_policy(path, policy_id)."
    )


def _description(manifest: Manifest, policy_id: str, trust: Sequence[str]) -> dict[str, Any]:
    where = f"the checkpoint {manifest.path}"
    stem = f"{manifest.policies[policy_id]}/policy"
    check_files(manifest, [name for name in manifest.files if name.startswith(f"{stem}.")])
    data = json.loads((manifest.path / f"{stem}.json").read_bytes())
    names = [(f"policies.{policy_id}.{key.replace('/', '.')}", name) for key, name in callable_names(data)]
    source = [(f"policies.{policy_id}.{data['kind']}", data["source"])] if is_reference(data["source"]) else []
    inside = references_in(data["config"], f"policies.{policy_id}.config")  # model: {module: "my_package:Net"}, …
    check_trust([*source, *names, *inside], trust, where=where)
    return dict(decode(data, ArrayReader(manifest.path, stem, frozenset(manifest.files)), resolver(trust, where=where)))


# ------------------------------------------------------------------ playing it


def load_policy(
    path: str | Path, policy_id: str | None = None, *, seed: int = 0, device: str = "cpu", trust: Sequence[str] = ()
) -> Player | ScriptedSeat:
    """One policy of a checkpoint, ready to play: ``load_policy(path).act(obs)``.

    Needs neither the environment, nor the trainer, nor Ray.

    Args:
        path: a checkpoint, or a run's directory (its last one).
        policy_id: may be left out if the run has one learned policy.
        seed: of the player's own randomness (``act(obs, explore=True)``).
        device: where its network is put.
        trust: packages that may be imported besides installed entry points.

    Raises:
        CheckpointError: the checkpoint is missing, damaged, newer, or names code outside ``trust``; or there is no such policy.
        PluginError: its algorithm is not installed here.
    """
    record = read_policy(path, policy_id, trust=trust)
    where = f"the checkpoint {path}, policy {record.spec.policy_id!r}"
    if record.kind == "player" and is_reference(record.source):
        source = import_trusted(record.source)
        options = dict(record.spec.config or {})
        if not (isinstance(source, type) and issubclass(source, Policy)):
            made = (lambda: source(**options)) if options else source
            return ScriptedSeat(ScriptedPlayer(made, record.spec, record.source), seed=seed)
    policy = build_policy(record, seed=seed, device=device, where=where)
    policy.set_weights(record.weights, version=record.version, counters=record.counters)
    return Player(policy, seed=seed)


def build_policy(record: PolicyRecord, *, seed: int, device: str, where: str) -> Policy:
    """The policy that ``record`` describes, without its weights."""
    spec = record.spec
    if record.kind == "player":
        options = dict(spec.config or {})
        if record.source == "random":
            return RandomPolicy(spec)
        if record.source == "constant":
            return ConstantPolicy(spec, options.get("action"))
        return import_trusted(record.source)(spec, **options)  # type: ignore[no-any-return]
    algorithm = _algorithm(record.source, where=where)
    if isinstance(spec.config, Mapping):
        spec = PolicySpec(**{**_fields(spec), "config": algorithm.PolicyConfig.model_validate(dict(spec.config))})
    return algorithm.make_policy(spec, seed=seed, device=device)


def _fields(spec: PolicySpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}


def _algorithm(source: str, *, where: str) -> type[Algorithm]:
    try:
        return find_algorithm(source)
    except PluginError as error:
        raise PluginError(f"{where} was trained by {source!r}: {error}") from error


class ScriptedSeat:
    """A scripted bot from a checkpoint as one seat; ``act`` and ``reset`` as :class:`~marl.players.Player` has them."""

    def __init__(self, player: ScriptedPlayer, *, seed: int = 0) -> None:
        import numpy as np

        self.policy = player
        self._rng = np.random.default_rng(seed)
        self._life = player.begin_life()

    def reset(self) -> None:
        """Begin a new life: the bot is made anew."""
        self._life = self.policy.begin_life()

    def act(self, obs: Any, *, info: Any = None, explore: bool = False) -> Any:
        """The bot's action for one observation."""
        return self._life(obs, info if info is not None else {}, self._rng)
