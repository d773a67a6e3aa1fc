"""The acting side of every actor-critic: a policy that samples, with log-probabilities and values, and several as one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from marl.algorithm import PluginConfig
from marl.errors import ConfigError, Problem
from marl.policy import ActResult, ColumnSpec, Counters, Policy, PolicySpec, RecurrentState, StackedPolicy
from marl.seeding import branch
from marl.spaces import ActionCodec, ObservationCodec
from marl_plugins.cpu_threads import use_torch_threads
from marl_plugins.distributions import ActionDistribution
from marl_plugins.nets import ActorCritic, ModelConfig, NumpyNet
from marl_plugins.running_stats import RunningStats
from marl_plugins.torch_tools import resolve_device, to_tensor

_FLOAT32 = np.dtype(np.float32)
_TORCH_ROWS_AT_ONCE = 1024  # rows of one torch pass outside learning: bounds memory with images


class ActorCriticConfig(PluginConfig):
    """One policy's keys."""

    model: ModelConfig = Field(default=ModelConfig(), description="the network")
    observation_filter: Literal["none", "mean_std"] = Field(
        default="none",
        description="mean_std: observations are normalised by their running mean and standard deviation, cut to ±10; saved with the policy",
    )
    box_actions: Literal["clip", "rescale"] = Field(
        default="clip",
        description="how real actions are played: clip to the bounds, or rescale from [-1, 1] to the bounds (which must be finite)",
    )


class ActorCriticPolicy(Policy):
    """Samples from a network's distribution.

    Attributes:
        net: the torch network: observations to (outputs ``[N, distribution.num_outputs]``, values ``[N]``).
        filters: column → running statistics of observations; empty without a filter.
        value_stats: what values are normalised with inside the network (mean 0, variance 1 unless the learner updates them).
    """

    columns: Mapping[str, ColumnSpec] = MappingProxyType({"action_logp": ((), _FLOAT32), "values": ((), _FLOAT32)})

    def __init__(self, spec: PolicySpec, *, seed: int, device: str = "cpu") -> None:
        self.spec = spec
        self.config: ActorCriticConfig = spec.config if spec.config is not None else ActorCriticConfig()
        module = self.config.model.module_class()
        self.observation = ObservationCodec(spec.observation_space, structured=bool(getattr(module, "structured", False)))
        self.action = ActionCodec(spec.action_space, box=self.config.box_actions)
        self.distribution = ActionDistribution(self.action)
        self.device = resolve_device(device)
        self.net = self._make_net(module, int(branch(seed, "net", spec.policy_id).generate_state(1)[0])).to(self.device)
        self.net.eval()
        filtered = self.observation.columns if self.config.observation_filter == "mean_std" else {}
        self.filters = {name: RunningStats(shape) for name, (shape, _) in filtered.items()}
        self.value_stats = RunningStats((), clip=float("inf"))
        self._numpy_net: NumpyNet | None = None

    def _make_net(self, module: Any, seed: int) -> nn.Module:
        if module is None:
            distribution = self.distribution
            dtype = _FLOAT32 if self.config.observation_filter != "none" else self.observation.dtype
            return ActorCritic(self.observation.shape, dtype, distribution.num_choices, distribution.num_reals, self.config.model, seed)
        # A user's module draws its first weights from torch's global generator: lend it one, and put the generator back.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = module(self.spec, self.distribution.num_outputs, **self.config.model.module_options)
        if not isinstance(net, nn.Module):
            raise ConfigError([Problem("model.module", f"{module!r} made a {type(net).__name__}", "a class of torch.nn.Module")])
        return net

    # -- observations and values

    @property
    def numpy_net(self) -> NumpyNet | None:
        """The network on numpy, where it can be: made at the first use, for weights may still move (to one flat vector) before."""
        if self._numpy_net is None and NumpyNet.fits(self.net):
            assert isinstance(self.net, ActorCritic)
            self._numpy_net = NumpyNet([self.net])
        return self._numpy_net

    def normalized(self, obs: Any) -> Any:
        """Observations (an array, or a dict of columns) as the network takes them."""
        if not self.filters:
            return obs
        if isinstance(obs, dict):
            return {name: self.filters[name].normalize(column) for name, column in obs.items()}
        return self.filters["obs"].normalize(obs)

    def values(self, inputs: Any) -> NDArray[np.float32]:
        """V of n normalised observations ``[n]``, in the rewards' unit."""
        if self.numpy_net is not None:
            values = self.numpy_net.values(_vectors(inputs))
        else:
            values = self._torch_forward(inputs)[1]
        return self.value_stats.denormalize(values)

    def _torch_forward(self, inputs: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Outputs ``[num_outputs, n]`` and values ``[n]`` by the torch network."""
        count = _count(inputs)
        outputs = np.empty((self.distribution.num_outputs, count), np.float32)
        values = np.empty(count, np.float32)
        use_torch_threads(1)
        with torch.inference_mode():
            for start in range(0, count, _TORCH_ROWS_AT_ONCE):
                rows = slice(start, start + _TORCH_ROWS_AT_ONCE)
                out, value = self.net(tensors(inputs, self.device, rows))
                outputs[:, rows] = out.T.cpu().numpy()
                values[rows] = value.cpu().numpy()
        return outputs, values

    def _forward(self, obs: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        inputs = self.normalized(obs)
        if self.numpy_net is not None:
            return self.numpy_net.forward(_vectors(inputs))
        return self._torch_forward(inputs)

    # -- the contract

    def act_batch(
        self,
        obs: Any,
        *,
        recurrent_state: RecurrentState,
        action_mask: NDArray[np.bool_] | None,
        explore: bool,
        rng: np.random.Generator,
        schedule_step: int,
    ) -> ActResult:
        outputs, values = self._forward(obs)
        noise = self.distribution.noise(outputs.shape[1], rng) if explore else None
        actions, logp = self.distribution.choose(outputs, action_mask, noise)
        return actions, recurrent_state, {"action_logp": logp, "values": self.value_stats.denormalize(values)}

    def action_distribution(self, obs: Any, action_mask: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """For n observations: ``probabilities``, one ``[n, choices]`` for each choice; ``mean`` and ``std`` ``[n, reals]``."""
        return self.distribution.parameters(self._forward(obs)[0], action_mask)

    def _stats(self) -> dict[str, RunningStats]:
        return {"value": self.value_stats, **{f"filter/{name}": stats for name, stats in self.filters.items()}}

    def get_weights(self) -> dict[str, NDArray[Any]]:
        weights = {f"net/{name}": tensor.detach().cpu().numpy().copy() for name, tensor in self.net.state_dict().items()}
        for name, stats in self._stats().items():
            weights.update({f"stats/{name}/{key}": array for key, array in stats.get().items()})
        return weights

    def set_weights(self, weights: Mapping[str, NDArray[Any]], *, version: int, counters: Counters | None = None) -> None:
        """Copy ``weights`` in.

        Raises:
            ConfigError: names or shapes are not this policy's.
        """
        super().set_weights(weights, version=version, counters=counters)
        own = {f"net/{name}": tensor for name, tensor in self.net.state_dict().items()}
        expected = {name: tuple(tensor.shape) for name, tensor in own.items()}
        found = {name: tuple(np.shape(array)) for name, array in weights.items() if name.startswith("net/")}
        if found != expected:
            names = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
            wrong = ", ".join(f"{name} is {found.get(name, 'missing')}, expected {expected.get(name, 'nothing')}" for name in names[:4])
            raise ConfigError([Problem(f"policies.{self.spec.policy_id}", f"weights do not fit its network: {wrong}", "the same model")])
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(torch.from_numpy(np.array(weights[name])))
        for name, stats in self._stats().items():
            if f"stats/{name}/mean" in weights:
                stats.set({key: weights[f"stats/{name}/{key}"] for key in ("mean", "variance", "count")})

    @classmethod
    def stack(cls, policies: list[Policy]) -> StackedPolicy | None:
        """One numpy pass where all have dense networks of one shape on the CPU, and spaces of one size."""
        members = [policy for policy in policies if isinstance(policy, ActorCriticPolicy) and policy.numpy_net is not None]
        if len(members) < len(policies) or len(members) < 2:
            return None
        shapes = {_signature(member) for member in members}
        return StackedActorCritic(members) if len(shapes) == 1 else None


class StackedActorCritic(StackedPolicy):
    """Policies of equal shape answered by one pass with a leading axis K; each policy's rows draw from its own generator."""

    def __init__(self, policies: list[ActorCriticPolicy]) -> None:
        self.policies = policies
        self.distribution = policies[0].distribution
        self._nets = NumpyNet([policy.net for policy in policies])  # type: ignore[misc]
        self._filtered = bool(policies[0].filters)
        self.refresh()

    def refresh(self) -> None:
        self._nets.refresh()
        self._value_scale = np.stack([policy.value_stats.scale for policy in self.policies])[:, None]
        self._value_offset = np.stack([policy.value_stats.offset for policy in self.policies])[:, None]

    def act_batch(
        self,
        obs: Any,
        *,
        policy_index: NDArray[np.intp],
        action_mask: NDArray[np.bool_] | None,
        explore: bool,
        rngs: list[np.random.Generator],
        schedule_step: int,
    ) -> ActResult:
        members, rows = len(self.policies), len(policy_index)
        counts = np.bincount(policy_index, minlength=members)
        longest = int(counts.max())
        # place[i] is row i's place in a table [K, longest]; rows that come in whole equal runs need no moving.
        even = longest * members == rows and bool((policy_index[:-1] <= policy_index[1:]).all())
        if even:
            place = None
        else:
            order = np.argsort(policy_index, kind="stable")
            starts = np.cumsum(counts) - counts
            place = np.empty(rows, np.intp)
            place[order] = np.arange(rows) + np.repeat(np.arange(members) * longest - starts, counts)
        if self._filtered:
            x = _table(obs.reshape(rows, -1), place, members, longest)
            shape = self.policies[0].observation.shape
            x = np.stack([policy.filters["obs"].normalize(own.reshape(-1, *shape)) for policy, own in zip(self.policies, x)])
            x = x.reshape(members, longest, -1)
        else:
            x = _table(_vectors(obs), place, members, longest)
        outputs, values = self._nets.forward(x)
        values = values * self._value_scale + self._value_offset
        noise = None
        if explore:
            drawn = [self.distribution.noise(int(count), rng) for count, rng in zip(counts, rngs)]
            noise = (_padded([one[0] for one in drawn], longest), _padded([one[1] for one in drawn], longest))
        mask = None if action_mask is None else _table(action_mask, place, members, longest)
        actions, logp = self.distribution.choose(outputs, mask, noise)
        flat = slice(None) if place is None else place
        columns = {"action_logp": logp.reshape(-1)[flat], "values": values.reshape(-1)[flat]}
        return actions.reshape(members * longest, *self.policies[0].action.shape)[flat], {}, columns


def _signature(policy: ActorCriticPolicy) -> Any:
    """What must be equal for two policies to be stacked."""
    shapes = tuple((name, tuple(tensor.shape)) for name, tensor in policy.net.state_dict().items())
    parts = tuple((part.n, part.size) for part in policy.action.parts)
    net = policy.numpy_net
    assert net is not None
    return (
        shapes,
        parts,
        policy.action.shape,
        str(policy.action.dtype),
        policy.observation.shape,
        net.activation,
        net.shared,
        bool(policy.filters),
    )


def _table(rows: NDArray[Any], place: NDArray[np.intp] | None, members: int, longest: int) -> NDArray[Any]:
    """Rows ``[N, k]`` in a table ``[K, longest, k]``; empty places hold ones (a legal mask, a harmless observation)."""
    if place is None:
        return rows.reshape(members, longest, -1)
    table = np.ones((members * longest, rows.shape[1]), rows.dtype)
    table[place] = rows
    return table.reshape(members, longest, -1)


def _padded(parts: list[NDArray[np.float32]], longest: int) -> NDArray[np.float32]:
    if all(len(part) == longest for part in parts):
        return np.stack(parts)
    out = np.zeros((len(parts), longest, parts[0].shape[1]), np.float32)
    for row, part in zip(out, parts):
        row[: len(part)] = part
    return out


def _vectors(obs: Any) -> NDArray[np.float32]:
    """Observations ``[n, *shape]`` as float vectors ``[n, inputs]``; bytes are images, in [0, 1] as in the torch network."""
    array = np.asarray(obs)
    if array.dtype != np.float32:
        array = array.astype(np.float32) / np.float32(255.0) if array.dtype == np.uint8 else array.astype(np.float32)
    return array if array.ndim == 2 else array.reshape(len(array), -1)


def _count(inputs: Any) -> int:
    return len(next(iter(inputs.values()))) if isinstance(inputs, dict) else len(inputs)


def tensors(inputs: Any, device: torch.device, rows: Any = slice(None)) -> Tensor | dict[str, Tensor]:
    """Rows of a network's inputs as tensors; a dict of columns stays one."""
    if isinstance(inputs, dict):
        return {name: to_tensor(column[rows], device) for name, column in inputs.items()}
    return to_tensor(inputs[rows], device)
