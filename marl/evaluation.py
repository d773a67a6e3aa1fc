"""Judging policies while, or after, they train: whole episodes that nobody learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from marl.batch import EpisodeRecord
from marl.metrics import EpisodeMetrics
from marl.policy import Policy
from marl.router import Router
from marl.worker import Worker

EVALUATION_WORKER = (1 << 15) - 1
"""The worker index of evaluation, so that its episodes' ids are nobody else's."""
DEFAULT_EPISODES = 100
_NOT_OF_AN_EVALUATION = ("num_episodes_total",)


@dataclass
class Evaluation:
    """What an evaluation found: metrics (``episode_return_mean``, ``policies/…``, without a prefix) and its episodes."""

    metrics: dict[str, float]
    episodes: list[EpisodeRecord]


class Evaluator:
    """Plays episodes with given weights. Environments are made once and kept; everything else begins anew each time.

    Args:
        make_env: copy number → environment.
        make_worker: ``(make_env, router, copies, seed, explore) → worker`` that keeps no rows.
    """

    def __init__(
        self,
        make_env: Callable[[int], Any],
        make_worker: Callable[[Callable[[int], Any], Router, int, int, bool], Worker],
    ) -> None:
        self._make_env = make_env
        self._make_worker = make_worker
        self._envs: list[Any] = []

    def evaluate(
        self,
        router: Router,
        weights: Iterable[Policy],
        *,
        ids: Iterable[str],
        episodes: int | None,
        num_env_steps: int | None,
        copies: int,
        seed: int,
        explore: bool,
        match_state: Any = None,
        hashes: Mapping[str, str] | None = None,
    ) -> Evaluation:
        """Play ``episodes`` whole episodes (or ``num_env_steps`` over all copies) and say how they went.

        Args:
            weights: the policies whose weights are taken, by the ``ids`` beside them.
        """
        if episodes is None and num_env_steps is None:
            episodes = DEFAULT_EPISODES
        copies = min(copies, episodes or copies)
        worker = self._make_worker(self._env, router, copies, seed, explore)
        worker.match_state = match_state
        router.hashes.update(hashes or {})
        for policy_id, policy in zip(ids, weights, strict=True):
            worker.set_weights(policy_id, policy.get_weights(), version=policy.version, counters=policy.counters)
        worker.refresh_stacks()
        if episodes is not None:
            _, finished = worker.sample(num_episodes=episodes, explore=explore)
        else:
            assert num_env_steps is not None
            _, finished = worker.sample(num_env_steps=-(-num_env_steps // copies), explore=explore)
        metrics = EpisodeMetrics(window=None)
        metrics.add(finished)
        found = {name: value for name, value in metrics.take().items() if name not in _NOT_OF_AN_EVALUATION}
        return Evaluation(found, finished)

    def _env(self, copy: int) -> Any:
        while len(self._envs) <= copy:
            self._envs.append(self._make_env(len(self._envs)))
        return self._envs[copy]

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            close = getattr(env, "close", None)
            if close is not None:
                close()
        self._envs = []
