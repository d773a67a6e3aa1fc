"""What a run says of itself, under fixed names (:data:`NAMES`; docs/metrics.md), and the bookkeeping behind the numbers.

Finished episodes are kept as they come and looked at once an iteration: :meth:`EpisodeMetrics.add` is one ``extend``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from marl.batch import EpisodeRecord

WINDOW = 100
"""Episodes that a mean of training is over (evaluation: all of its episodes)."""
MAX_AGENTS = 64
"""Agents with names of their own in the metrics; in open worlds the first so many that earned anything."""
MAX_SEATS = 8
"""``policies/<id>/vs/…`` is kept for episodes of two to so many seats."""

NAMES: dict[str, str] = {
    "episode_return_mean": "mean over the last 100 episodes of the return summed over agents",
    "episode_return_min": "the lowest of them",
    "episode_return_max": "the highest of them",
    "episode_return_count": "how many episodes those are (at most 100)",
    "episode_len_mean": "their mean length in env steps",
    "num_episodes": "episodes that ended in this iteration",
    "num_episodes_total": "episodes that ended in the run",
    "num_episodes_lost_at_restore": "open episodes that could not be rebuilt at the last restore",
    "iteration": "iterations made",
    "num_env_steps_sampled": "env steps of this iteration, over all workers and copies",
    "num_env_steps_sampled_total": "env steps of the run",
    "num_agent_steps_sampled": "decisions of this iteration",
    "num_agent_steps_sampled_total": "decisions of the run",
    "num_env_steps_per_s": "env steps of this iteration by its wall time, evaluation left out",
    "num_truncated_without_observation": "lives of this iteration cut off without a final observation: their last row has no loss",
    "uncredited_reward": "reward of this iteration's episodes that belongs to no row, summed over agents",
    "num_uncredited_rewards": "how many rewards those are",
    "policies/<id>/return_mean": "mean return of a seat that the policy played, last 100 seats",
    "policies/<id>/return_count": "how many seats those are",
    "policies/<id>/vs/<opponents>/<seat>/return_mean": "mean return in that seat against those policies (sorted, joined by +), last 100",
    "policies/<id>/vs/<opponents>/<seat>/win_rate": "share of those episodes in which no other seat earned as much",
    "policies/<id>/vs/<opponents>/<seat>/draw_rate": "share in which another seat earned as much and none more",
    "policies/<id>/vs/<opponents>/<seat>/count": "how many episodes those are",
    "agents/<id>/return_mean": "mean return of the agent, last 100 episodes in which it took part",
    "agents/<id>/return_count": "how many episodes those are",
    "learners/<id>/num_rows": "rows learned from in this iteration",
    "learners/<id>/num_rows_total": "rows learned from in the run",
    "learners/<id>/num_updates": "gradient steps of this iteration",
    "learners/<id>/num_updates_total": "gradient steps of the run",
    "learners/<id>/weights_version": "learning steps made",
    "learners/<id>/<metric>": "whatever the algorithm reports, averaged over this iteration's learning steps",
    "time_s/env": "wall time of this iteration inside environments",
    "time_s/inference": "inside policies",
    "time_s/framework": "in the sampler itself",
    "time_s/learn": "in learners",
    "time_s/broadcast": "handing weights to workers",
    "time_s/evaluate": "in evaluation",
    "time_s/iteration": "of the whole iteration",
    "time_s/total": "of the run, restored parts included",
    "evaluation/<metric>": "the episode metrics above over one evaluation's episodes",
}

_PATTERNS = {name: re.compile(re.sub(r"<[a-z]+>", ".+", name) + r"\Z") for name in NAMES}


def is_metric(name: str) -> bool:
    """Whether ``name`` is one of :data:`NAMES`, its ``<…>`` filled in."""
    return any(pattern.match(name) for pattern in _PATTERNS.values())


def known_metrics() -> list[str]:
    """The names without ``<…>``."""
    return [name for name in NAMES if "<" not in name]


class EpisodeMetrics:
    """Returns, lengths and results of finished episodes.

    Args:
        window: how many of the newest episodes a mean is over; None: all.
    """

    def __init__(self, window: int | None = WINDOW) -> None:
        self.window = window
        self.num_episodes_total = 0
        self._new: list[EpisodeRecord] = []
        self._returns: deque[float] = deque(maxlen=window)
        self._lengths: deque[int] = deque(maxlen=window)
        self._policies: dict[str, deque[float]] = {}
        self._agents: dict[str, deque[float]] = {}
        self._versus: dict[tuple[str, str, str], tuple[deque[float], deque[float]]] = {}

    def add(self, records: Iterable[EpisodeRecord]) -> None:
        """Note finished episodes."""
        self._new.extend(records)

    def take(self, policies: Container[str] | None = None) -> dict[str, float]:
        """The metrics now; the counts of an iteration start anew.

        Args:
            policies: those that there are; of others nothing is kept (None: all are).
        """
        new, self._new = self._new, []
        self.num_episodes_total += len(new)
        for record in new:
            self._note(record)
        if policies is not None:
            self._keep_only(policies)
        found: dict[str, float] = {"num_episodes": len(new), "num_episodes_total": self.num_episodes_total}
        found["num_truncated_without_observation"] = sum(record.num_truncated_without_observation for record in new)
        found["uncredited_reward"] = float(sum(sum(record.uncredited_reward.values()) for record in new if record.uncredited_reward))
        found["num_uncredited_rewards"] = sum(sum(r.num_uncredited_rewards.values()) for r in new if r.num_uncredited_rewards)
        found["episode_return_count"] = len(self._returns)
        if self._returns:
            found["episode_return_mean"] = _mean(self._returns)
            found["episode_return_min"], found["episode_return_max"] = min(self._returns), max(self._returns)
            found["episode_len_mean"] = _mean(self._lengths)
        for policy_id, returns in self._policies.items():
            found[f"policies/{policy_id}/return_mean"] = _mean(returns)
            found[f"policies/{policy_id}/return_count"] = len(returns)
        for agent, returns in self._agents.items():
            found[f"agents/{agent}/return_mean"] = _mean(returns)
            found[f"agents/{agent}/return_count"] = len(returns)
        for (policy_id, opponents, seat), (returns, results) in self._versus.items():
            name = f"policies/{policy_id}/vs/{opponents}/{seat}"
            found[f"{name}/return_mean"] = _mean(returns)
            found[f"{name}/win_rate"] = sum(result == 1.0 for result in results) / len(results)
            found[f"{name}/draw_rate"] = sum(result == 0.5 for result in results) / len(results)
            found[f"{name}/count"] = len(returns)
        return found

    def _note(self, record: EpisodeRecord) -> None:
        returns = record.returns
        self._returns.append(float(sum(returns.values())))
        self._lengths.append(record.num_env_steps)
        seats = [(agent, policy_id, returns.get(agent, 0.0)) for agent, (policy_id, _) in record.seats.items()]
        seats += [(agent, policy_id, returns.get(agent, 0.0)) for agent, policy_id in record.absent.items()]
        for agent, policy_id, value in seats:
            self._kept(self._policies, policy_id).append(value)
            if agent in self._agents or len(self._agents) < MAX_AGENTS:
                self._kept(self._agents, agent).append(value)
        if 2 <= len(seats) <= MAX_SEATS:
            self._note_results(seats)

    def _note_results(self, seats: Sequence[tuple[Any, str, float]]) -> None:
        for index, (agent, policy_id, value) in enumerate(seats):
            if len(seats) == 2:
                _, opponents, best = seats[1 - index]
            else:
                others = [seat for place, seat in enumerate(seats) if place != index]
                opponents = "+".join(sorted({seat[1] for seat in others}))
                best = max(seat[2] for seat in others)
            key = (policy_id, opponents, agent)
            kept = self._versus.get(key)
            if kept is None:
                kept = self._versus[key] = (deque(maxlen=self.window), deque(maxlen=self.window))
            kept[0].append(value)
            kept[1].append(1.0 if value > best else 0.5 if value == best else 0.0)

    def _kept(self, table: dict[str, deque[float]], key: str) -> deque[float]:
        kept = table.get(key)
        if kept is None:
            kept = table[key] = deque(maxlen=self.window)
        return kept

    def _keep_only(self, policies: Container[str]) -> None:
        """Drop what is kept of policies that were removed."""
        for policy_id in [one for one in self._policies if one not in policies]:
            del self._policies[policy_id]
        for key in [key for key in self._versus if not all(one in policies for one in (key[0], *key[1].split("+")))]:
            del self._versus[key]

    def state_dict(self) -> dict[str, Any]:
        """Everything kept, as lists and numbers (call after :meth:`take`)."""
        return {
            "num_episodes_total": self.num_episodes_total,
            "returns": list(self._returns),
            "lengths": list(self._lengths),
            "policies": [[key, list(values)] for key, values in self._policies.items()],
            "agents": [[key, list(values)] for key, values in self._agents.items()],
            "versus": [[list(key), list(returns), list(results)] for key, (returns, results) in self._versus.items()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`state_dict` gave."""
        self.num_episodes_total = int(state["num_episodes_total"])
        self._returns = deque(state["returns"], maxlen=self.window)
        self._lengths = deque(state["lengths"], maxlen=self.window)
        self._policies = {key: deque(values, maxlen=self.window) for key, values in state["policies"]}
        self._agents = {key: deque(values, maxlen=self.window) for key, values in state["agents"]}
        self._versus = {
            (key[0], key[1], key[2]): (deque(returns, maxlen=self.window), deque(results, maxlen=self.window))
            for key, returns, results in state["versus"]
        }


def _mean(values: Sequence[float] | deque[float]) -> float:
    return sum(values) / len(values)
