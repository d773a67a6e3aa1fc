"""The PettingZoo adapters, case by case: credit, dead steps, final observations, masks, forfeits, checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from marl.errors import ConfigError, EnvError, MaskError, PluginError
from marl.registry import make_env

pytest.importorskip("pettingzoo", reason="the games are an extra: pip install 'marl-framework[pettingzoo]'")
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.classic import connect_four_v3, tictactoe_v3
from pettingzoo.utils import conversions, wrappers

from marl_envs.pettingzoo_bare import bare
from marl_envs.pettingzoo_rounds import RoundGame
from marl_envs.pettingzoo_turns import TurnGame

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

TICTACTOE = "pettingzoo/classic/tictactoe_v3"
SPREAD = "mpe2/simple_spread_v3"


class Chairs(AECEnv):
    """Three players in turn; action 1 leaves the game at once, the others play on. The last one left wins.

    Every live step pays the others 1. Observations are ``[ticks so far]``; the leaver's truncation is by choice.
    """

    metadata = {"name": "chairs_v0", "render_modes": []}
    render_mode = None

    def __init__(self, reuse: bool = False) -> None:
        self.possible_agents = ["a", "b", "c"]
        self._buffer = np.zeros(1, np.float32) if reuse else None
        self._action_space, self._space = spaces.Discrete(2), spaces.Box(0, 99, (1,), np.float32)

    def observation_space(self, agent: Any) -> Any:
        return self._space

    def action_space(self, agent: Any) -> Any:
        return self._action_space

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        self.agents = self.possible_agents[:]
        self.ticks = 0
        self.rewards = dict.fromkeys(self.agents, 0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: dict[Any, Any] = {agent: {} for agent in self.agents}
        self.agent_selection = "a"

    def observe(self, agent: Any) -> Any:
        if self._buffer is None:
            return np.array([self.ticks], np.float32)
        self._buffer[0] = self.ticks
        return self._buffer

    def step(self, action: Any) -> None:
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        self.ticks += 1
        self._cumulative_rewards[agent] = 0
        self.rewards = {other: int(other != agent) for other in self.agents}
        self._accumulate_rewards()
        live = [one for one in self.agents if not self.truncations[one]]
        following = live[(live.index(agent) + 1) % len(live)]
        self.infos[following] = {"tick": self.ticks}
        if action == 1:
            self.truncations[agent] = True
            live.remove(agent)
        if len(live) == 1:
            self.terminations[live[0]] = True
        self.agent_selection = following
        self._deads_step_first()


class Returning(Chairs):
    """Who leaves is in the list again as soon as its dead step is made, and it is its turn."""

    def step(self, action: Any) -> None:
        agent = self.agent_selection
        dead = self.terminations[agent] or self.truncations[agent]
        super().step(action)
        if dead and agent == "a" and self.agents:
            self.agents.insert(0, agent)
            for table in (self.rewards, self._cumulative_rewards):
                table[agent] = 0
            self.terminations[agent] = self.truncations[agent] = False
            self.infos[agent] = {"life": 2}
            self.agent_selection = agent


class Stuck(Chairs):
    """A game that forgets to take the dead off its list."""

    def _was_dead_step(self, action: Any) -> None:
        pass


class Shots(Chairs):
    """Action 1 shoots the player before one's own seat, whose dead step comes only when its turn does."""

    def step(self, action: Any) -> None:
        agent = self.agent_selection
        place = self.agents.index(agent)
        following = self.agents[(place + 1) % len(self.agents)]
        if self.terminations[agent]:
            self._was_dead_step(action)
            if self.agents:
                self.agent_selection = following
            return
        self.ticks += 1
        self._cumulative_rewards[agent] = 0
        self.rewards = {other: int(other != agent) for other in self.agents}
        self._accumulate_rewards()
        if action == 1:
            self.terminations[self.agents[place - 1]] = True
        self.agent_selection = following


class Meeting(ParallelEnv):
    """A native parallel game: ``host`` stays, ``guest`` comes at step 2 and leaves at step 3; its entries go on after that."""

    metadata = {"name": "meeting_v0"}
    render_mode = None

    def __init__(self, masks: bool = False) -> None:
        self.possible_agents = ["host", "guest"]
        self._masks = masks

    def observation_space(self, agent: Any) -> Any:
        return spaces.Box(0, 99, (1,), np.float32)

    def action_space(self, agent: Any) -> Any:
        return spaces.Discrete(3)

    def _infos(self) -> Any:
        return {agent: {"action_mask": np.array([1, 0, 1], np.int8)} if self._masks else {} for agent in self.agents}

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.agents, self._t = ["host"], 0
        return {"host": np.zeros(1, np.float32)}, self._infos()

    def step(self, actions: Any) -> Any:
        assert set(actions) == set(self.agents)
        self._t += 1
        seen = np.array([self._t], np.float32)
        listed = ["host"] if self._t < 2 else ["host", "guest"]
        guest_done, over = self._t >= 3, self._t == 5
        self.agents = [] if over else ["host", "guest"] if self._t == 2 else ["host"]
        return (
            {agent: seen.copy() for agent in listed},
            dict.fromkeys(listed, 1.0),
            {"host": False, **({"guest": guest_done} if self._t >= 2 else {})},
            {"host": over},
            self._infos(),
        )

    def state(self) -> Any:
        return np.array([self._t], np.float32)


def legal(observation: Any) -> list[int]:
    return np.flatnonzero(observation["action_mask"]).tolist()


# ------------------------------------------------------------------ which form is played


def test_names_choose_the_parallel_form_where_it_is_offered() -> None:
    assert make_env(SPREAD).api == "parallel"
    assert make_env(SPREAD, {"api": "aec"}).api == "aec"
    assert make_env(TICTACTOE).api == "aec"
    with pytest.raises(ConfigError, match=r"env_config.api: .*tictactoe_v3 is played in turns and offers no parallel form"):
        make_env(TICTACTOE, {"api": "parallel"})


def test_settings_reach_the_game_and_not_the_adapters_keys() -> None:
    env = make_env(SPREAD, {"N": 2, "api": "aec", "illegal": "forfeit"})
    assert env.possible_agents == ["agent_0", "agent_1"]
    with pytest.raises(ConfigError, match=r"env_config.nonsense: .* has no such parameter"):
        make_env(SPREAD, {"nonsense": 1})


def test_wrong_values_of_the_adapters_keys_are_all_named() -> None:
    with pytest.raises(ConfigError) as caught:
        make_env(TICTACTOE, {"api": "AEC", "illegal": "lose"})
    assert [problem.key for problem in caught.value.problems] == ["env_config.api", "env_config.illegal"]
    with pytest.raises(ConfigError, match=r"env_config.illegal: forfeiting is a rule of games played in turns"):
        make_env(SPREAD, {"illegal": "forfeit"})


def test_a_setting_that_the_game_does_not_take_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"env_config.max_cycle: mpe2/simple_spread_v3 has no such parameter. Did you mean 'max_cycles'"):
        make_env("mpe2/simple_spread_v3", {"max_cycle": 3})
    with pytest.raises(ConfigError, match=r"env_config.size: .*tictactoe_v3 has no such parameter"):
        make_env(TICTACTOE, {"size": 4})


def test_gymnasiums_spelling_of_versions_is_understood() -> None:
    assert make_env("pettingzoo/classic/tictactoe-v3").metadata["name"] == "tictactoe_v3"


def test_names_in_pettingzoos_own_registry() -> None:
    import pettingzoo

    pettingzoo.register("aec", "ours/chairs_v0", entry_point=Chairs)
    pettingzoo.register("parallel", "ours/meeting_v0", entry_point=Meeting)
    assert isinstance(make_env("pettingzoo/ours/chairs_v0"), TurnGame)
    assert isinstance(make_env("pettingzoo/ours/meeting_v0", {"masks": True}), RoundGame)
    with pytest.raises(PluginError, match="pettingzoo has no environment 'ours/nothing_v0'"):
        make_env("pettingzoo/ours/nothing_v0")


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (lambda: tictactoe_v3.env(), TurnGame),
        (lambda: tictactoe_v3.raw_env(), TurnGame),
        (lambda: Meeting(), RoundGame),
        (lambda: conversions.parallel_to_aec(Meeting()), TurnGame),
        (lambda: conversions.turn_based_aec_to_parallel(tictactoe_v3.env()), TurnGame),  # turns in a parallel dress
    ],
)
def test_instances_and_creators_are_adapted(made: Any, kind: type) -> None:
    assert isinstance(make_env(made()), kind)
    assert isinstance(make_env(made), kind)


def test_an_instance_can_be_asked_for_the_other_form() -> None:
    assert make_env(Meeting(), {"api": "aec"}).api == "aec"
    with pytest.raises(ConfigError, match="offers no parallel form"):
        make_env(tictactoe_v3.env(), {"api": "parallel"})


# ------------------------------------------------------------------ the bare game


def test_checking_wrappers_are_taken_off_and_others_stay() -> None:
    game = bare(tictactoe_v3.env())
    assert type(game.game) is tictactoe_v3.raw_env
    assert game.asserts
    assert not game.clips

    class Mine(wrappers.BaseWrapper):
        """A wrapper with a purpose."""

    mine = Mine(tictactoe_v3.env())
    assert bare(wrappers.OrderEnforcingWrapper(mine)).game is mine


def test_the_adapter_steps_no_wrapper_of_pettingzoos() -> None:
    assert type(make_env(TICTACTOE)._game).__module__ == "pettingzoo.classic.tictactoe.tictactoe"
    assert type(make_env(SPREAD)._game).__module__ == "mpe2.simple_spread.simple_spread"


# ------------------------------------------------------------------ turns: credit, ends, dead steps


def test_a_lost_game_is_paid_to_the_loser_at_the_winners_move() -> None:
    env = make_env(TICTACTOE)
    observations, _ = env.reset(seed=0)
    for number, cell in enumerate((0, 3, 1, 4)):
        assert list(observations) == [f"player_{number % 2 + 1}"]
        observations, rewards, terminateds, truncateds, infos = env.step({f"player_{number % 2 + 1}": cell})
        assert (rewards, infos) == ({}, {})
        assert (terminateds, truncateds) == ({"__all__": False}, {"__all__": False})
    observations, rewards, terminateds, truncateds, _ = env.step({"player_1": 2})
    assert rewards == {"player_1": 1, "player_2": -1}
    assert terminateds == {"player_1": True, "player_2": True, "__all__": True}
    assert truncateds == {"player_1": False, "player_2": False, "__all__": False}
    assert set(observations) == {"player_1", "player_2"}, "both have a final observation"
    assert observations["player_2"]["observation"][0, 2, 1] == 1, "which shows the winning mark"
    assert env.agents == []


def test_agents_leave_one_by_one_and_dead_steps_take_no_time() -> None:
    env = make_env(Chairs())
    env.reset(seed=0)
    observations, rewards, terminateds, truncateds, infos = env.step({"a": 1})
    assert rewards == {"b": 1, "c": 1}
    assert {agent: seen.tolist() for agent, seen in observations.items()} == {"a": [1.0], "b": [1.0]}
    assert (terminateds, truncateds) == ({"a": False, "__all__": False}, {"a": True, "__all__": False})
    assert infos == {"b": {"tick": 1}}
    assert env.agents == ["b", "c"], "a's dead step was made in the same call"
    observations, *_ = env.step({"b": 0})
    assert {agent: seen.tolist() for agent, seen in observations.items()} == {"c": [2.0]}
    observations, rewards, terminateds, truncateds, _ = env.step({"c": 1})
    assert set(observations) == {"b", "c"}
    assert rewards == {"b": 1}
    assert terminateds == {"b": True, "c": False, "__all__": True}
    assert truncateds == {"b": False, "c": True, "__all__": False}


def test_an_end_is_told_once_though_its_dead_step_comes_later() -> None:
    env = make_env(Shots())
    env.reset(seed=0)
    observations, _, terminateds, *_ = env.step({"a": 1})  # c is shot; it is b's turn, and c's comes after
    assert {agent: seen.tolist() for agent, seen in observations.items()} == {"c": [1.0], "b": [1.0]}
    assert terminateds == {"c": True, "__all__": False}
    assert env.agents == ["a", "b"]
    observations, rewards, terminateds, *_ = env.step({"b": 0})
    assert list(observations) == ["a"], "c's dead step was skipped over in this call, and its end is old news"
    assert terminateds == {"__all__": False}
    assert rewards == {"a": 1, "c": 1}, "what the dead are paid counts"
    observations, _, terminateds, *_ = env.step({"a": 1})
    assert terminateds == {"b": True, "__all__": False}
    assert list(observations) == ["b", "a"]


def test_an_episode_that_everybody_is_cut_off_from_is_truncated() -> None:
    env = make_env("pettingzoo/classic/rps_v2", {"max_cycles": 1, "api": "aec"})
    env.reset(seed=0)
    env.step({"player_0": 0})
    _, rewards, terminateds, truncateds, _ = env.step({"player_1": 2})
    assert rewards == {"player_0": 1, "player_1": -1}
    assert terminateds == {"player_0": False, "player_1": False, "__all__": False}
    assert truncateds == {"player_0": True, "player_1": True, "__all__": True}


def test_a_player_that_never_acts_has_an_end_and_its_reward() -> None:
    env = make_env("pettingzoo/classic/texas_holdem_v4", {"num_players": 3})
    for seed in range(40):
        observations, _ = env.reset(seed=seed)
        acted, ended, paid, over = set(), set(), {}, False
        while not over:
            agent = next(agent for agent in observations if agent not in ended)
            acted.add(agent)
            mask = legal(observations[agent])
            fold = 2 if 2 in mask else mask[-1]
            observations, rewards, terminateds, _, _ = env.step({agent: fold})
            paid.update(rewards)
            ended |= {agent for agent in terminateds if terminateds[agent]}
            over = terminateds["__all__"]
        if len(acted) < 3:
            (idle,) = set(env.possible_agents) - acted
            assert idle in ended
            assert idle in observations
            assert paid[idle] > 0
            return
    raise AssertionError("in no game somebody won without acting")


def test_an_agent_that_ends_and_begins_again_in_one_call() -> None:
    env = make_env(Returning())
    env.reset(seed=0)
    observations, _, _, truncateds, infos = env.step({"a": 1})
    assert truncateds["a"]
    assert list(observations) == ["a"]
    assert infos["a"]["life"] == 2
    assert infos["a"]["final_observation"].tolist() == [1.0]
    assert env.agents == ["a", "b", "c"]
    env.step({"a": 0})


def test_a_game_that_keeps_its_dead_is_an_error() -> None:
    env = make_env(Stuck())
    env.reset(seed=0)
    with pytest.raises(EnvError, match=r"step\(None\) for the done agent 'a' left it in env.agents"):
        env.step({"a": 1})


def test_an_episode_can_be_left_half_way_and_begun_again() -> None:
    env = make_env(Chairs())
    env.reset(seed=0)
    env.step({"a": 1})
    observations, _ = env.reset(seed=0)
    assert list(observations) == ["a"]
    assert env.agents == ["a", "b", "c"]


def test_observations_in_a_reused_buffer_are_copied() -> None:
    env = make_env(Chairs(reuse=True))
    observations, _ = env.reset(seed=0)
    given = [observations["a"]]
    for _ in range(60):
        observations, *_ = env.step(dict.fromkeys(observations, 0))
        given += observations.values()
    assert [seen.tolist() for seen in given] == [[float(tick)] for tick in range(61)]


def test_copying_stops_where_the_game_makes_new_observations() -> None:
    env = make_env(Chairs())
    observations, _ = env.reset(seed=0)
    for _ in range(60):
        observations, *_ = env.step(dict.fromkeys(observations, 0))
    assert env._fresh is None


# ------------------------------------------------------------------ checks


def test_an_illegal_action_is_an_error_that_names_the_player() -> None:
    env = make_env(TICTACTOE)
    env.reset(seed=0)
    env.step({"player_1": 4})
    with pytest.raises(MaskError, match=r"'player_2' played 4, which its action mask forbids; legal: \[0, 1, 2, 3, 5, 6, 7, 8\]"):
        env.step({"player_2": 4})
    assert env.step({"player_2": np.int64(0)})[2]["__all__"] is False, "the game was not told"


@pytest.mark.parametrize("game", [tictactoe_v3, connect_four_v3])
def test_forfeit_gives_pettingzoos_own_rule(game: Any) -> None:
    """Same actions up to the illegal one: returns, flags and final observations are those of the standard loop."""
    moves = [0, 0] if game is tictactoe_v3 else [3] * 7
    theirs = game.env()
    theirs.reset(seed=0)
    plan, returns, finals, flags = iter(moves), {}, {}, {}
    for agent in theirs.agent_iter():
        observation, reward, terminated, truncated, _ = theirs.last()
        returns[agent] = returns.get(agent, 0) + reward
        if terminated or truncated:
            finals[agent], flags[agent] = observation, (terminated, truncated)
        theirs.step(None if terminated or truncated else next(plan))

    env = make_env(game.env(), {"illegal": "forfeit"})
    env.reset(seed=0)
    paid: dict[Any, float] = {}
    for number, move in enumerate(moves):
        observations, rewards, terminateds, truncateds, _ = env.step({env.possible_agents[number % 2 - len(env.possible_agents)]: move})
        for agent, reward in rewards.items():
            paid[agent] = paid.get(agent, 0) + reward
    offender = env.possible_agents[(len(moves) - 1) % 2]
    assert paid == {offender: -1.0}
    assert {agent: paid.get(agent, 0) for agent in returns} == returns
    assert {agent: (terminateds[agent], truncateds[agent]) for agent in flags} == flags
    assert terminateds["__all__"]
    for agent, final in finals.items():
        assert np.array_equal(observations[agent]["observation"], final["observation"])
    assert env.agents == []
    assert list(env.reset(seed=0)[0]) == [env.possible_agents[0]]


def test_the_reward_of_a_forfeit_is_that_of_the_games_own_wrapper() -> None:
    env = make_env(wrappers.TerminateIllegalWrapper(tictactoe_v3.raw_env(), illegal_reward=-7), {"illegal": "forfeit"})
    env.reset(seed=0)
    env.step({"player_1": 0})
    assert env.step({"player_2": 0})[1] == {"player_2": -7.0}


@pytest.mark.parametrize("action", [9, -1, 2.5, "4", None, np.int64(9), np.float32(4)])
def test_an_action_outside_its_space_is_an_error(action: Any) -> None:
    env = make_env(TICTACTOE)
    env.reset(seed=0)
    with pytest.raises(EnvError, match=r"'player_1' played .*not in its action space Discrete\(9\)"):
        env.step({"player_1": action})


def test_whose_turn_it_is_not_and_before_reset_and_after_the_end() -> None:
    env = make_env(TICTACTOE)
    with pytest.raises(EnvError, match="call reset first"):
        env.step({"player_1": 0})
    env.reset(seed=0)
    with pytest.raises(EnvError, match=r"'player_1' is due, but step was given actions of \['player_2'\]"):
        env.step({"player_2": 0})
    for number, cell in enumerate((0, 3, 1, 4, 2)):
        env.step({f"player_{number % 2 + 1}": cell})
    with pytest.raises(EnvError, match="step after the end of the episode"):
        env.step({"player_1": 5})


@pytest.mark.parametrize("api", ["aec", "parallel"])
def test_continuous_actions_are_clipped_as_pettingzoos_wrapper_does(api: str) -> None:
    settings = {"continuous_actions": True, "max_cycles": 3}
    wild = np.array([0.0, 7.0, -3.0, 0.5, 2.0], np.float32)
    rewards = []
    for action in (wild, np.clip(wild, 0, 1), wild.astype(np.float64)):
        env = make_env(SPREAD, {**settings, "api": api})
        observations, _ = env.reset(seed=1)
        total: dict[Any, float] = {}
        given = dict.fromkeys(env.possible_agents, action)
        before = action.copy()
        over = False
        while not over:
            due = env.agents if api == "parallel" else list(observations)
            observations, paid, terminateds, truncateds, _ = env.step({agent: given[agent] for agent in due})
            over = terminateds["__all__"] or truncateds["__all__"]
            for agent, reward in paid.items():
                total[agent] = total.get(agent, 0) + reward
        assert np.array_equal(action, before), "the player's own array is left alone"
        rewards.append(total)
    assert rewards[0] == pytest.approx(rewards[1])
    assert rewards[0] == pytest.approx(rewards[2])


@pytest.mark.parametrize("action", [np.full(5, np.nan, np.float32), np.zeros(4, np.float32)])
def test_nan_and_wrong_shapes_are_errors_even_where_actions_are_clipped(action: Any) -> None:
    env = make_env(SPREAD, {"continuous_actions": True})
    env.reset(seed=1)
    good = np.zeros(5, np.float32)
    with pytest.raises(EnvError, match=r"'agent_1' played .*not in its action space"):
        env.step({"agent_0": good, "agent_1": action, "agent_2": good})


# ------------------------------------------------------------------ rounds


def test_a_native_parallel_game_with_a_guest() -> None:
    env = make_env(Meeting())
    observations, _ = env.reset(seed=0)
    due = {1: ["host"], 2: ["host", "guest"], 3: ["host"], 4: ["host"], 5: []}
    for step in range(1, 6):
        acting = [agent for agent in observations if agent in env.agents]
        observations, rewards, terminateds, truncateds, _ = env.step(dict.fromkeys(acting, 0))
        live = [a for a in observations if not (terminateds.get(a) or truncateds.get(a))]
        assert live == due[step]
        assert env.agents == due[step]
        if step == 3:
            assert observations["guest"].tolist() == [3.0]
            assert terminateds["guest"]
        if step == 4:
            assert list(observations) == ["host"], "the observation of somebody long done is dropped"
            assert terminateds == {"host": False, "__all__": False}, "and so is its flag"
            assert rewards["guest"] == 1.0, "but what it is paid counts"
    assert truncateds == {"host": True, "__all__": True}
    assert terminateds["__all__"] is False
    with pytest.raises(EnvError, match="step after the end"):
        env.step({"host": 0})


def test_missing_and_illegal_actions_in_a_round_name_the_agent() -> None:
    env = make_env(SPREAD)
    env.reset(seed=0)
    with pytest.raises(EnvError, match=r"'agent_2' is due, but step was given actions of \['agent_0', 'agent_1'\]"):
        env.step({"agent_0": 0, "agent_1": 0})
    with pytest.raises(EnvError, match=r"'agent_1' played 5, which is not in its action space Discrete\(5\)"):
        env.step({"agent_0": 0, "agent_1": 5, "agent_2": 0})
    masked = make_env(Meeting(masks=True))
    masked.reset(seed=0)
    with pytest.raises(MaskError, match=r"'host' played 1, which its action mask forbids; legal: \[\[0, 2\]\]"):
        masked.step({"host": 1})


def test_masks_in_infos_are_forwarded_and_kept() -> None:
    env = make_env(conversions.parallel_to_aec(Meeting(masks=True)))
    _, infos = env.reset(seed=0)
    assert infos["host"]["action_mask"].tolist() == [1, 0, 1]
    with pytest.raises(MaskError, match="'host' played 1"):
        env.step({"host": 1})


def test_a_game_that_is_no_cycle_says_so() -> None:
    class Skips(Chairs):
        metadata = {"name": "skips_v0", "is_parallelizable": True}

        def step(self, action: Any) -> None:
            super().step(action)
            self.agent_selection = "a"

    env = make_env(conversions.aec_to_parallel(Skips()))
    env.reset(seed=0)
    with pytest.raises(EnvError, match=r"it is 'a''s turn where the cycle expects 'b'.*api: aec"):
        env.step({"a": 0, "b": 0, "c": 0})


def test_the_global_state_is_there_only_where_the_game_has_one() -> None:
    env = make_env(SPREAD)
    env.reset(seed=0)
    assert env.global_state().shape == env.global_state_space.shape == (54,)
    assert make_env(Meeting()).global_state is not None
    assert not hasattr(make_env(TICTACTOE), "global_state")
    assert not hasattr(make_env(TICTACTOE), "elapsed_ticks"), "a step is one tick, and nothing need say so"


def test_render() -> None:
    env = make_env(TICTACTOE, {"render_mode": "rgb_array"})
    env.reset(seed=0)
    frame = env.render()
    assert frame.ndim == 3
    assert frame.dtype == np.uint8
    env.close()
