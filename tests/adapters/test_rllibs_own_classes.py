"""RLlib's own example environments, unmodified. Runs where Ray is installed, as in the peers' environment of ``make bench-peers``."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import numpy as np
import pytest

from marl.registry import make_env
from marl.spaces import agent_spaces

pytest.importorskip("ray.rllib", reason="RLlib pins another gymnasium than ours; run this in the peers' environment")

from ray.rllib.env.multi_agent_env import make_multi_agent
from ray.rllib.examples.envs.classes.multi_agent import GuessTheNumberGame, MultiAgentCartPole, MultiAgentPendulum, TwoStepGame
from ray.rllib.examples.envs.classes.multi_agent.double_row_corridor_env import DoubleRowCorridorEnv
from ray.rllib.examples.envs.classes.multi_agent.rock_paper_scissors import RockPaperScissors
from ray.rllib.examples.envs.classes.multi_agent.tic_tac_toe import TicTacToe

from marl_envs.from_rllib import RLlibEnv

pytestmark = pytest.mark.filterwarnings("ignore")
CASES = [
    (MultiAgentCartPole, {"num_agents": 4}, [0, 1, 2, 3]),
    (MultiAgentPendulum, {"num_agents": 2}, [0, 1]),
    (make_multi_agent("MountainCarContinuous-v0"), {"num_agents": 1}, [0]),
    (GuessTheNumberGame, {"max_number": 5}, [0, 1]),
    (TwoStepGame, {}, [0, 1]),
    (DoubleRowCorridorEnv, {}, ["agent_0", "agent_1"]),
    (RockPaperScissors, {}, ["player1", "player2"]),
    (TicTacToe, {}, ["player1", "player2"]),
]


@pytest.mark.parametrize(("creator", "config", "agents"), CASES, ids=[case[0].__qualname__ + str(case[2]) for case in CASES])
def test_rllibs_own_environments_run_unmodified(creator: Any, config: dict[str, Any], agents: list[Any]) -> None:
    ours, theirs = make_env(creator, config), creator(dict(config))
    assert isinstance(ours, RLlibEnv)
    assert ours.possible_agents == agents
    rng = np.random.default_rng(0)
    for seed in range(3):
        observations, _ = _on_the_same_stream(seed, partial(ours.reset, seed=seed))
        expected, _ = _on_the_same_stream(seed, partial(theirs.reset, seed=seed))
        for _ in range(200):
            assert observations.keys() <= set(agents)
            for agent, seen in observations.items():
                assert agent_spaces(ours, agent)[0].contains(seen), (agent, seen)
            actions = {agent: _sample(agent_spaces(ours, agent)[1], rng) for agent in observations}
            if not actions:
                break
            observations, *rest = ours.step(dict(actions))
            expected, *own = theirs.step(dict(actions))
            assert str(rest) == str(own)
            assert {agent: np.asarray(seen).tolist() for agent, seen in observations.items()} == {
                agent: np.asarray(seen).tolist() for agent, seen in expected.items()
            }
            if rest[1].get("__all__") or rest[2].get("__all__"):
                break
            observations = {agent: seen for agent, seen in observations.items() if not (rest[1].get(agent) or rest[2].get(agent))}


def _on_the_same_stream(seed: int, call: Any) -> Any:
    """Some of these games draw from the global generators."""
    random.seed(seed)
    np.random.seed(seed)
    return call()


def _sample(space: Any, rng: np.random.Generator) -> Any:
    space.seed(int(rng.integers(2**31)))
    return space.sample()
