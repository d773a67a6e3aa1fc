"""Proximal policy optimisation (Schulman et al. 2017), for any number of policies, each with its own network.

With r = π(a|x) / π_old(a|x), advantages A by GAE (Schulman et al. 2016) over semi-Markov rows, and targets G = A + V_old:

    L = − mean min(r A, clip(r, 1 ± ε) A)  +  c_v · ½ mean (V − G)²  −  c_e · mean entropy  (+ c_kl · KL)

What follows a row is exact: nothing after a termination; V of the true final observation after a truncation; V of the next
observation where a fragment was merely cut. Rows from weights too old, and rows cut off without an observation, keep
their place in the targets and have no loss (``loss_mask``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from marl.algorithm import Algorithm, Capabilities, Data, Gradients, OnPolicy, PluginConfig, loss_mask
from marl.batch import MultiAgentBatch, SampleBatch
from marl.errors import PolicyError
from marl.policy import Policy, PolicySpec
from marl.returns import gae, row_discounts
from marl.schedules import Schedule, constant
from marl.seeding import generator, generator_state, set_generator_state
from marl_plugins.actor_critic import ActorCriticConfig, ActorCriticPolicy, tensors
from marl_plugins.cpu_threads import use_torch_threads
from marl_plugins.nets import ActorCritic
from marl_plugins.torch_tools import FlatParameters, make_optimizer, resolve_device, to_tensor


def _at_least_zero(schedule: Schedule) -> Schedule:
    if min(schedule.values) < 0.0:
        raise ValueError(f"expected values ≥ 0, found {min(schedule.values)}")
    return schedule


Rate = Annotated[Schedule, AfterValidator(_at_least_zero)]


class PPOConfig(PluginConfig):
    """The learner's keys."""

    lr: Rate = Field(default=constant(3e-4), description="learning rate; a number or a schedule; ≥ 0")
    train_batch_rows: int | None = Field(
        default=None, ge=1, description="learn as soon as so many rows are there; null: at every iteration's end"
    )
    gae_lambda: float = Field(default=0.95, ge=0.0, le=1.0, description="λ of the advantages, per decision; 0 trusts V, 1 trusts returns")
    clip: Rate = Field(default=constant(0.2), description="ε: how far the probability ratio counts; a number or a schedule; ≥ 0")
    value_clip: float | None = Field(
        default=None,
        gt=0.0,
        description="how far V may move from its old value in one learning step (in units of normalised values, if so); null: freely",
    )
    value_coeff: float = Field(default=1.0, ge=0.0, description="weight of the value loss ½ (V − G)²")
    entropy_coeff: Rate = Field(default=constant(0.0), description="weight of the entropy bonus; a number or a schedule; ≥ 0")
    epochs: int = Field(default=4, ge=1, description="passes over the train batch")
    minibatch_rows: int | None = Field(default=None, ge=1, description="rows of one update of one policy; null: a quarter of its rows")
    kl_stop: float | None = Field(
        default=None,
        gt=0.0,
        description="a policy is left alone for the rest of the step once KL(old, new) is above this, nats; null: never",
    )
    kl_coeff: float = Field(default=0.0, ge=0.0, description="weight of a penalty on KL(old, new)")
    normalize_advantages: bool = Field(default=True, description="mean 0, standard deviation 1 over the policy's rows that have a loss")
    normalize_values: bool = Field(default=False, description="V is learned in units of the targets' running mean and deviation (PopArt)")
    max_grad_norm: float | None = Field(default=0.5, gt=0.0, description="largest norm of one policy's gradient; null: any")
    optimizer: str = Field(default="adam", description="adam, or 'module:Class' with the interface of torch.optim")
    optimizer_options: Mapping[str, Any] = Field(default_factory=dict, description="its keyword arguments but lr; for adam: betas, eps")
    max_version_lag: int = Field(default=1, ge=0, description="rows from weights older than so many versions have no loss")
    complete_episodes: bool = Field(default=False, description="fragments end only at ends of episodes")
    num_threads: int = Field(default=1, ge=1, description="torch threads while learning")


@dataclass
class _Learner:
    """What belongs to one policy: its parameters in one vector, and their optimizer."""

    policy: ActorCriticPolicy
    flat: FlatParameters
    optimizer: Any
    stopped: bool = False


@dataclass
class PPOMinibatch:
    """``rows[policy][column]``: tensors ``[M, ...]``; ``metrics``: what is said once a train batch, with its first minibatch."""

    rows: dict[str, dict[str, Any]]
    metrics: dict[str, float] = field(default_factory=dict)


class PPO(Algorithm):
    """See the module."""

    Config = PPOConfig
    PolicyConfig = ActorCriticConfig
    capabilities = Capabilities(actions=frozenset({"discrete", "multi_discrete", "box", "composite"}), groups="yes")

    @classmethod
    def data(cls, config: PPOConfig) -> Data:
        return OnPolicy(config.train_batch_rows, config.complete_episodes, config.max_version_lag)

    @classmethod
    def make_policy(cls, spec: PolicySpec, *, seed: int, device: str = "cpu") -> Policy:
        return ActorCriticPolicy(spec, seed=seed, device=device)

    def __init__(self, specs: dict[str, PolicySpec], config: PPOConfig, *, seed: int, device: str) -> None:
        self.specs = specs
        self.config = config
        self.device = resolve_device(device)
        self.rng = generator(seed, "ppo", *sorted(specs))
        self._learners: dict[str, _Learner] = {}
        for policy_id, spec in specs.items():
            policy = ActorCriticPolicy(spec, seed=seed, device=str(self.device))
            flat = FlatParameters(policy.net)
            self._learners[policy_id] = _Learner(policy, flat, make_optimizer(flat, config.optimizer, config.optimizer_options))
        self.policies: dict[str, Policy] = {policy_id: one.policy for policy_id, one in self._learners.items()}

    # -- once a train batch

    def prepare(self, batch: MultiAgentBatch) -> MultiAgentBatch:
        """Write ``loss_mask``, ``advantages`` and ``value_targets`` [N] (rewards' unit), and ``inputs/…`` with an observation filter."""
        for policy_id, rows in batch.policies.items():
            if policy_id in self._learners and rows.num_rows:
                self._prepare(self._learners[policy_id].policy, self.specs[policy_id], rows)
        return batch

    def _prepare(self, policy: ActorCriticPolicy, spec: PolicySpec, rows: SampleBatch) -> None:
        keep = loss_mask(rows, self.version, self.config.max_version_lag)
        per_tick = spec.discount.per == "tick"
        rewards = rows["rewards_discounted" if per_tick else "rewards"].astype(np.float32, copy=False)
        advantages, targets = gae(
            rewards,
            rows["values"],
            policy.values(policy.normalized(rows.bootstrap())),
            row_discounts(spec.discount.gamma, rewards, rows["env_steps"] if per_tick else None),
            rows["terminateds"],
            rows.offsets,
            self.config.gae_lambda,
            rows.pieces["bootstrap_valid"],
        )
        rows["loss_mask"], rows["value_targets"] = keep, targets
        rows["advantages"] = _normalized(advantages, keep) if self.config.normalize_advantages else advantages
        if policy.filters:
            # Learn from what the policy saw when it acted; what it sees next is normalised by what is known now.
            inputs = policy.normalized(rows.observation())
            for name, column in inputs.items() if isinstance(inputs, dict) else [("obs", inputs)]:
                rows[f"inputs/{name}"] = column
            for name, stats in policy.filters.items():
                stats.update(rows[name])
        if self.config.normalize_values:
            before = (float(policy.value_stats.offset), float(policy.value_stats.scale))
            policy.value_stats.update(targets[keep])
            if isinstance(policy.net, ActorCritic):
                policy.net.rescale_values(*before, float(policy.value_stats.offset), float(policy.value_stats.scale))

    # -- minibatches

    def minibatches(self, batch: MultiAgentBatch, rng: np.random.Generator, *, count: int | None = None) -> Iterator[PPOMinibatch]:
        """``epochs`` passes; in each, every policy's rows with a loss are shuffled and cut into equal parts.

        With ``count``, as many minibatches in all as that, however many rows there are.
        """
        tables: dict[str, dict[str, Any]] = {}
        sizes: dict[str, int] = {}
        metrics: dict[str, float] = {}
        for policy_id, learner in self._learners.items():
            learner.stopped = False
            rows = batch.policies.get(policy_id)
            if rows is None or not rows.num_rows:
                continue
            keep = np.flatnonzero(rows["loss_mask"])
            metrics.update(self._named(policy_id, {**_fit(rows, keep), "num_masked_rows": float(rows.num_rows - len(keep))}))
            if len(keep):
                tables[policy_id], sizes[policy_id] = self._columns(learner.policy, rows, keep), len(keep)
        parts = {policy_id: -(-size // (self.config.minibatch_rows or -(-size // 4))) for policy_id, size in sizes.items()}
        in_epoch = max(parts.values(), default=0) if count is None else -(-count // self.config.epochs)
        made = 0
        for _ in range(self.config.epochs):
            cuts = {
                policy_id: np.array_split(rng.permutation(size), parts[policy_id] if count is None else in_epoch)
                for policy_id, size in sizes.items()
            }
            for place in range(in_epoch):
                if made == count:
                    return
                chosen = {}
                for policy_id, cut in cuts.items():
                    if place < len(cut) and len(cut[place]):
                        index = torch.from_numpy(cut[place]).to(self.device)
                        chosen[policy_id] = {name: _take(column, index) for name, column in tables[policy_id].items()}
                yield PPOMinibatch(chosen, metrics if made == 0 else {})
                made += 1

    def _columns(self, policy: ActorCriticPolicy, rows: SampleBatch, keep: np.ndarray) -> dict[str, Any]:
        """What the loss reads, as tensors of the rows ``keep``; a network with a loss of its own reads every column."""
        inputs = _inputs(rows, policy)
        names = ["actions", "action_logp", "advantages", "value_targets", "values"]
        if "action_mask" in rows:
            names.append("action_mask")
        if hasattr(policy.net, "extra_loss"):
            names += [name for name in rows if name not in names and rows[name].dtype != object]
        some = slice(None) if len(keep) == rows.num_rows else keep
        table = {name: tensors(rows[name], self.device, some) for name in names}
        table["inputs"] = tensors(inputs, self.device, some)
        for name in ("value_targets", "values"):
            table[name] = to_tensor(policy.value_stats.normalize(rows[name][some]), self.device)
        return table

    # -- the loss

    def compute_gradients(self, minibatch: PPOMinibatch, phase: str) -> Gradients:
        grads: list[Tensor | None] = []
        metrics: dict[str, Any] = dict(minibatch.metrics)
        use_torch_threads(self.config.num_threads)
        for policy_id, learner in self._learners.items():
            rows = minibatch.rows.get(policy_id)
            if rows is None or learner.stopped:
                grads.append(None)
                continue
            net = learner.policy.net
            modal = not isinstance(net, ActorCritic)  # a module of the user's may hold dropout or batch normalisation
            if modal:
                net.train()
            loss, said = self._loss(learner.policy, rows)
            learner.flat.grads.zero_()
            loss.backward()
            if modal:
                net.eval()
            grads.append(learner.flat.grads)
            metrics.update(self._named(policy_id, {**said, "grad_norm": torch.linalg.vector_norm(learner.flat.grads)}))
        return Gradients(grads if any(one is not None for one in grads) else None, metrics)

    def _loss(self, policy: ActorCriticPolicy, rows: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        config = self.config
        clip = config.clip.at(self.counters)
        outputs, values = policy.net(rows["inputs"])  # [M, num_outputs], [M]
        logp, entropy = policy.distribution.evaluate(outputs, rows["actions"], rows.get("action_mask"))  # [M], [M]
        log_ratio = logp - rows["action_logp"]
        ratio = log_ratio.exp()
        advantages = rows["advantages"]
        policy_loss = -torch.minimum(ratio * advantages, ratio.clamp(1.0 - clip, 1.0 + clip) * advantages).mean()
        value_loss = _value_loss(values, rows["values"], rows["value_targets"], config.value_clip)
        mean_entropy = entropy.mean()
        kl = (ratio - 1.0 - log_ratio).mean()  # an unbiased estimate of KL(old, new) that is never negative (Schulman 2020)
        loss = policy_loss + config.value_coeff * value_loss
        entropy_coeff = config.entropy_coeff.at(self.counters)
        if entropy_coeff:
            loss = loss - entropy_coeff * mean_entropy
        if config.kl_coeff:
            loss = loss + config.kl_coeff * kl
        said: dict[str, Any] = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": mean_entropy, "kl": kl}
        with torch.no_grad():
            said["clip_fraction"] = ((ratio - 1.0).abs() > clip).float().mean()
        if hasattr(policy.net, "extra_loss"):
            extra: Tensor = policy.net.extra_loss(rows)  # type: ignore[operator]
            loss = loss + extra
            said["extra_loss"] = extra
        return loss, {name: value.detach() for name, value in said.items()}

    def stop_early(self, metrics: Mapping[str, Any]) -> bool:
        """Leave alone every policy whose KL is above ``kl_stop``; true when none is left."""
        if self.config.kl_stop is None:
            return False
        for policy_id, learner in self._learners.items():
            kl = metrics.get(next(iter(self._named(policy_id, {"kl": 0.0}))))
            if kl is not None and float(kl) > self.config.kl_stop:
                learner.stopped = True
        return all(learner.stopped for learner in self._learners.values())

    def apply_gradients(self, gradients: Gradients, phase: str) -> None:
        lr = self.config.lr.at(self.counters)
        for (policy_id, learner), grads in zip(self._learners.items(), gradients.grads, strict=True):
            if grads is None or learner.stopped:
                continue
            if grads is not learner.flat.grads:
                learner.flat.grads.copy_(torch.as_tensor(grads))
            norm = learner.flat.clip(self.config.max_grad_norm)
            if not np.isfinite(norm):
                raise PolicyError(
                    f"the gradient of policy {policy_id!r} is {norm} in learning step {self.version + 1}. Look for huge or NaN rewards or "
                    "observations (`marl check`), or lower lr, or set observation_filter: mean_std and normalize_values: true."
                )
            learner.optimizer.step(lr)

    def _named(self, policy_id: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Metrics under the policy's name, where the learner has more than one."""
        return dict(metrics) if len(self._learners) == 1 else {f"{policy_id}/{name}": value for name, value in metrics.items()}

    # -- weights and state

    def set_policy_weights(self, policy_id: str, weights: Mapping[str, Any], *, reset_optimizer: bool = False) -> None:
        super().set_policy_weights(policy_id, weights, reset_optimizer=reset_optimizer)
        learner = self._learners[policy_id]
        if reset_optimizer:
            learner.optimizer = make_optimizer(learner.flat, self.config.optimizer, self.config.optimizer_options)

    def state_dict(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "rng": generator_state(self.rng),
            "policies": {
                policy_id: {"weights": one.policy.get_weights(), "optimizer": one.optimizer.state_dict()}
                for policy_id, one in self._learners.items()
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.version = int(state["version"])
        set_generator_state(self.rng, state["rng"])
        for policy_id, learner in self._learners.items():
            saved = state["policies"][policy_id]
            learner.policy.set_weights(saved["weights"], version=self.version)
            learner.optimizer.load_state_dict(saved["optimizer"])


def _normalized(advantages: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1 over the rows that ``keep`` [N] names; the others are moved alike."""
    counted = advantages if keep.all() else advantages[keep]
    if len(counted) < 2:
        return advantages
    return (advantages - counted.mean()) / (counted.std() + np.float32(1e-8))


def _fit(rows: SampleBatch, keep: np.ndarray) -> dict[str, float]:
    """``explained_variance`` of the value targets by the old values: 1 perfect, 0 no better than their mean."""
    targets, values = rows["value_targets"][keep], rows["values"][keep]
    spread = float(targets.var()) if len(keep) else 0.0
    return {"explained_variance": 1.0 - float((targets - values).var()) / spread} if spread > 0.0 else {}


def _inputs(rows: SampleBatch, policy: ActorCriticPolicy) -> Any:
    """What the network took in when it acted: normalised observations if it has a filter."""
    if not policy.filters:
        return rows.observation()
    if policy.observation.structured:
        return {name: rows[f"inputs/{name}"] for name in policy.filters}
    return rows["inputs/obs"]


def _take(column: Any, index: Tensor) -> Any:
    if isinstance(column, dict):
        return {name: one.index_select(0, index) for name, one in column.items()}
    return column.index_select(0, index)


def _value_loss(values: Tensor, old_values: Tensor, targets: Tensor, clip: float | None) -> Tensor:
    """½ mean (V − G)², with ``clip`` the larger of that and of the same for V cut to old V ± clip; all [M]."""
    squares = (values - targets).square()
    if clip is not None:
        cut = old_values + (values - old_values).clamp(-clip, clip)
        squares = torch.maximum(squares, (cut - targets).square())
    return 0.5 * squares.mean()
