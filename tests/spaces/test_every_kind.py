"""Every kind of observation and of action, from the environment through the sampler and PPO and back.

The environment itself watches: every action is in its space, of its form, and never masked; every row is the observation it gave.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.spaces.utils import flatten

import marl
from marl.env import BaseMultiAgentEnv

from .some_spaces import choices, chosen, mask_forms, same, some_mask

AGENTS = ("left", "right")
PPO: dict[str, Any] = {"algorithm": "ppo", "model": {"hidden": [8]}, "epochs": 1}

SEEN: dict[str, Any] = {
    "box": spaces.Box(-1, 1, (3,)),
    "box of one number": spaces.Box(-1, 1, ()),
    "box of float64": spaces.Box(-5, 5, (2,), np.float64),
    "table": spaces.Box(0, 9, (2, 2), np.int32),
    "picture": spaces.Box(0, 255, (36, 36, 3), np.uint8),
    "discrete": spaces.Discrete(4, start=2),
    "multi-discrete": spaces.MultiDiscrete([2, 3], start=[0, 1]),
    "multi-binary": spaces.MultiBinary((2, 2)),
    "dict": spaces.Dict({"far": spaces.Box(-1, 1, (2,)), "kind": spaces.Discrete(3)}),
    "tuple": spaces.Tuple([spaces.MultiBinary(2), spaces.Box(0, 1, (1,))]),
    "nested": spaces.Dict({"me": spaces.Tuple([spaces.Discrete(2), spaces.Box(0, 1, (2,))]), "map": spaces.Box(0, 255, (2, 2), np.uint8)}),
}
DONE: dict[str, Any] = {
    "discrete": spaces.Discrete(3),
    "discrete that starts elsewhere": spaces.Discrete(3, start=-5),
    "multi-discrete": spaces.MultiDiscrete([2, 3], start=[4, 0]),
    "table of choices": spaces.MultiDiscrete([[2, 3], [2, 2]]),
    "multi-binary": spaces.MultiBinary(3),
    "box": spaces.Box(-1, 1, (2,)),
    "box of one number": spaces.Box(-1, 1, ()),
    "box of a table": spaces.Box(np.zeros((2, 2)), np.array([[1, 2], [3, 4]]), dtype=np.float64),
    "box of whole numbers": spaces.Box(-2, 3, (2,), np.int64),
    "dict": spaces.Dict({"go": spaces.Discrete(3, start=1), "how": spaces.Box(0, 2, (1,))}),
    "tuple": spaces.Tuple([spaces.MultiBinary(2), spaces.MultiDiscrete([3, 2])]),
    "nested": spaces.Dict(
        {"hand": spaces.Tuple([spaces.Discrete(2), spaces.Dict({"turn": spaces.Box(-1, 1, (2,))})]), "foot": spaces.Discrete(4)}
    ),
}


class Watching(BaseMultiAgentEnv):
    """Two agents of any kind; ``masks`` says where masks stand: nowhere, in the observation, in infos (in all forms in turn)."""

    def __init__(self, seen: Any, done: Any, masks: str = "", *, first_is_free: bool = False) -> None:
        self.seen, self.done, self.masks, self.first_is_free = seen, done, masks, first_is_free
        self.possible_agents = list(AGENTS)
        shown = seen
        if masks == "observation":
            shown = spaces.Dict({"observation": seen, "action_mask": spaces.MultiBinary(sum(choices(done)))})
        self.observation_spaces = dict.fromkeys(AGENTS, shown)
        self.action_spaces = dict.fromkeys(AGENTS, done)
        self.given: dict[str, list[Any]] = {agent: [] for agent in AGENTS}
        self.num_actions = 0
        self.forms = 0
        self.drawn: set[Any] = set()

    def _look(self) -> tuple[dict[str, Any], dict[str, Any]]:
        observations, infos = {}, {}
        self.allowed = {agent: some_mask(self.done, self.rng) for agent in AGENTS}
        for agent in AGENTS:
            for mask in self.allowed[agent]:
                mask[0] |= self.first_is_free
            value = self.seen.sample()
            self.given[agent].append(value)
            observations[agent] = value
            if self.masks:
                forms = mask_forms(self.done, self.allowed[agent])
                self.forms += 1
                if self.masks == "observation":
                    observations[agent] = {"observation": value, "action_mask": forms[1]}
                else:
                    infos[agent] = {"action_mask": forms[self.forms % len(forms)]}
        return observations, infos

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.rng = np.random.default_rng(seed)
        self.seen.seed(seed)
        self.t = 0
        return self._look()

    def step(self, actions: Any, /) -> Any:
        assert set(actions) == set(AGENTS)
        for agent, action in actions.items():
            assert in_space(self.done, action), f"{agent} played {action!r}"
            picks = chosen(self.done, action)
            self.drawn.add((tuple(picks), repr(np.round(_numbers(self.done, action), 1))))
            if self.masks:
                legal = zip(self.allowed[agent], picks, strict=True)
                assert all(mask[pick] for mask, pick in legal), f"{agent} played {action!r} under {self.allowed[agent]}"
            self.num_actions += 1
        self.t += 1
        observations, infos = self._look()
        rewards = {agent: float(sum(chosen(self.done, action))) for agent, action in actions.items()}
        return observations, rewards, {"__all__": self.t == 7}, {"__all__": False}, infos


def in_space(space: Any, action: Any) -> bool:
    if isinstance(space, spaces.Dict):
        return (
            isinstance(action, dict) and set(action) == set(space.spaces) and all(in_space(s, action[k]) for k, s in space.spaces.items())
        )
    if isinstance(space, spaces.Tuple):
        return isinstance(action, tuple) and len(action) == len(space.spaces) and all(map(in_space, space.spaces, action))
    if isinstance(space, spaces.Box) and not isinstance(action, np.ndarray):
        return False
    return bool(space.contains(action))


def _numbers(space: Any, action: Any) -> Any:
    """The real numbers of an action."""
    if isinstance(space, spaces.Dict):
        return np.concatenate([_numbers(inner, action[key]) for key, inner in space.spaces.items()])
    if isinstance(space, spaces.Tuple):
        return np.concatenate([_numbers(inner, part) for inner, part in zip(space.spaces, action, strict=True)])
    return np.asarray(action, np.float64).reshape(-1) if isinstance(space, spaces.Box) else np.zeros(0)


def all_choices(space: Any) -> bool:
    return not len(_numbers(space, space.sample()))


def masks_for(done: Any) -> tuple[str, ...]:
    return ("", "observation", "infos") if choices(done) else ("",)


CASES = [
    *[(seen, "discrete", masks) for seen in SEEN for masks in ("", "observation")],
    *[("box", done, masks) for done in DONE for masks in masks_for(DONE[done])],
    ("nested", "nested", "infos"),
    ("dict", "tuple", "observation"),
    ("picture", "dict", ""),
]


@pytest.mark.parametrize(("seen", "done", "masks"), CASES)
@pytest.mark.parametrize("player", ["random", "ppo", "constant"])
def test_actions_are_in_their_space_and_never_masked(seen: str, done: str, masks: str, player: str) -> None:
    env = Watching(SEEN[seen], DONE[done], masks)
    policies = {"p": PPO if player == "ppo" else {"player": player}}
    sampler = marl.Sampler(env, policies=policies, seed=5)
    batches = [sampler.sample(num_env_steps=n, explore=n != 9)[0] for n in (12, 9)]
    assert env.num_actions == 42
    if player == "random":
        possible = int(np.prod(choices(DONE[done]))) if all_choices(DONE[done]) else 10**6
        assert len(env.drawn) >= min(possible, 4 if masks else 15)
    check_rows(env, batches)


def check_rows(env: Watching, batches: list[Any]) -> None:
    """Every row holds the observation that its agent was given."""
    for agent in AGENTS:
        rows = []
        for batch in batches:
            mine = batch.policies["p"]
            places = np.flatnonzero(mine["agent_index"] == mine.agents.index(agent))
            places = places[np.lexsort((mine["t"][places], mine["eps_id"][places]))]
            obs = mine.observation()
            for place in places:
                one = {name: leaf[place] for name, leaf in obs.items()} if isinstance(obs, dict) else obs[place]
                rows.append(np.concatenate([np.ravel(leaf) for leaf in one.values()]) if isinstance(one, dict) else np.ravel(one))
        given = [value for place, value in enumerate(env.given[agent]) if (place + 1) % 8]  # but the final ones
        assert len(rows) == 21
        for row, value in zip(rows, given, strict=False):
            np.testing.assert_array_equal(row.astype(np.float64), np.asarray(flatten(env.seen, value)).astype(row.dtype))


@pytest.mark.parametrize(("seen", "done", "masks"), CASES)
def test_ppo_learns_from_every_kind(seen: str, done: str, masks: str) -> None:
    """One iteration of a trainer: the losses are numbers, the weights move, and what it plays afterwards is legal still."""
    env = Watching(SEEN[seen], DONE[done], masks)
    with_filter = {"observation_filter": "mean_std"} if seen == "box" else {}
    trainer = marl.Trainer({"env": env, "policies": {"p": PPO | with_filter}, "rollout_fragment_env_steps": 16, "seed": 5})
    before = trainer.get_policy("p").get_weights()
    metrics = trainer.train()["metrics"]
    after = trainer.get_policy("p").get_weights()
    assert metrics["learners/p/num_rows"] == 32
    losses = {name: value for name, value in metrics.items() if name.startswith("learners/p/")}
    assert all(np.isfinite(value) for value in losses.values()), losses
    assert any(not np.array_equal(before[name], after[name]) for name in before)
    assert all(np.isfinite(value).all() for value in after.values())
    trainer.train()
    assert env.num_actions == 64


@pytest.mark.parametrize("done", [name for name in DONE if not choices(DONE[name])])
def test_boxes_may_be_rescaled(done: str) -> None:
    env = Watching(SEEN["box"], DONE[done])
    sampler = marl.Sampler(env, policies={"p": PPO | {"box_actions": "rescale"}}, seed=5)
    rows = sampler.sample(num_env_steps=30)[0].policies["p"]
    assert env.num_actions == 60
    assert rows["actions"].min() < -0.2 < 0.2 < rows["actions"].max()


@pytest.mark.parametrize("done", DONE)
def test_a_bot_speaks_the_environments_own_actions(done: str) -> None:
    env = Watching(SEEN["nested"], DONE[done], "infos" if choices(DONE[done]) else "", first_is_free=True)
    space = DONE[done]
    space.seed(3)
    answers: list[Any] = []

    def bot(obs: Any, info: Any) -> Any:
        assert any(same(obs, value) for agent in AGENTS for value in env.given[agent][-1:])
        mask = info.get("action_mask")
        assert (mask is None) == (not choices(space))
        legal = [env.allowed[agent] for agent in AGENTS]  # for either: the bot is not told which of them it is
        while True:
            action = space.sample()
            if all(one[pick] for masks in legal for one, pick in zip(masks, chosen(space, action), strict=True)):
                answers.append(action)
                return action

    sampler = marl.Sampler(env, policies={"p": {"player": bot}}, seed=5)
    rows = sampler.sample(num_env_steps=6)[0].policies["p"]
    assert len(answers) == rows.num_rows == 12


@pytest.mark.parametrize("done", DONE)
def test_a_player_by_hand_plays_like_the_sampler(done: str) -> None:
    """``Player.act`` takes the environment's observation, mask and all, and gives its own action."""
    env = Watching(SEEN["nested"], DONE[done], "observation" if choices(DONE[done]) else "")
    sampler = marl.Sampler(env, policies={"p": PPO}, seed=5)
    sampler.sample(num_env_steps=1)
    player = marl.Player(sampler.policies["p"], seed=1)
    observations, _ = env.reset(seed=1)
    for _ in range(6):
        actions = {agent: player.act(observations[agent], explore=True) for agent in AGENTS}
        observations = env.step(actions)[0]
