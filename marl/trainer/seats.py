"""Answering observations by hand: who plays which agent, and each life's own recurrent state."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np

from marl.errors import ConfigError, Problem, did_you_mean
from marl.players import Player, ScriptedPlayer
from marl.policy import Policy
from marl.router import Router
from marl.seeding import generator


class HandEpisode:
    """The episode that a mapping function is shown when people feed observations themselves."""

    def __init__(self, number: int, seed: int, policies: tuple[str, ...], match_state: Any) -> None:
        self.episode_id = number
        self.seed: int | None = seed
        self.rng = generator(seed, "by-hand", number)
        self.agents: list[Hashable] = []
        self.policies = policies
        self.match: Any = None
        self.match_state = match_state
        self.user: dict[str, Any] = {}
        self.env_index = self.worker_index = 0


class HandSeats:
    """Seats of one episode that is played from outside.

    Args:
        actor: policy id → what plays.
    """

    def __init__(self, router: Router, actor: Callable[[str], Policy | ScriptedPlayer], *, seed: int) -> None:
        self.router = router
        self._actor = actor
        self._seed = seed
        self._count = 0
        self._episode: HandEpisode | None = None
        self._seats: dict[Hashable, Callable[[Any, Any, bool], Any]] = {}

    def begin(self, match_state: Any = None) -> None:
        """A new episode: seats are drawn and recurrent states start anew."""
        self._episode = HandEpisode(self._count, self._seed, tuple(self.router.policies), match_state)
        self._count += 1
        self._seats = {}
        self._episode.match = self.router.begin(self._episode)

    def act(
        self,
        observations: Mapping[Any, Any],
        infos: Mapping[Any, Any],
        explore: bool,
        policy_ids: Mapping[Any, str],
    ) -> dict[Any, Any]:
        """The environment's actions for every agent of ``observations``."""
        if self._episode is None:
            self.begin()
        return {agent: self._seat(agent, policy_ids.get(agent))(seen, infos.get(agent), explore) for agent, seen in observations.items()}

    def _seat(self, agent: Hashable, policy_id: str | None) -> Callable[[Any, Any, bool], Any]:
        assert self._episode is not None
        if policy_id is None and agent in self._seats:
            return self._seats[agent]
        if policy_id is not None and policy_id not in self.router.policies:
            wrong = f"there is no policy {policy_id!r}.{did_you_mean(policy_id, self.router.policies)}"
            raise ConfigError([Problem("policy_ids", wrong, "name one of the run's policies")])
        key = agent if policy_id is None else (agent, policy_id)
        if key not in self._seats:
            if agent not in self._episode.agents:
                self._episode.agents.append(agent)
            chosen = policy_id or self.router.policy_for(agent, self._episode)
            self._seats[key] = _seat_of(self._actor(chosen), generator(self._seed, "by-hand", self._count, str(agent)))
        return self._seats[key]


def _seat_of(actor: Policy | ScriptedPlayer, rng: np.random.Generator) -> Callable[[Any, Any, bool], Any]:
    if isinstance(actor, ScriptedPlayer):
        life = actor.begin_life()
        return lambda obs, info, explore: life(obs, info if info is not None else {}, rng)
    player = Player(actor, seed=int(rng.integers(1 << 31)))
    return lambda obs, info, explore: player.act(obs, info=info, explore=explore)
