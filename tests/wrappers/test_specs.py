"""A run's ``wrappers``: order, every problem at once, wrappers of one's own."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from marl.errors import ConfigError
from marl.wrappers import WRAPPERS, AgentId, FrameStack, RewardScale, TimeLimit, apply_wrappers, check_wrappers, wrapper_imports
from marl_envs.cartpole import CartPole, VectorCartPole


class Marked(RewardScale):
    def __init__(self, env, mark, factor=1.0):
        super().__init__(env, factor)
        self.mark = mark


def test_the_first_stands_nearest_to_the_game():
    specs = [{"time_limit": {"max_ticks": 7}}, "agent_id", {"frame_stack": {"n": 2}}, {f"{__name__}:Marked": {"mark": "m"}}]
    env = apply_wrappers(CartPole(num_agents=2), specs)
    assert isinstance(env, Marked)
    assert env.mark == "m"
    assert [type(env.env), type(env.env.env), type(env.env.env.env)] == [FrameStack, AgentId, TimeLimit]
    assert env.observation_space("agent_1").shape == (12,)
    env.reset(seed=0)
    assert [env.step({"agent_0": k % 2, "agent_1": k % 2})[3]["__all__"] for k in range(7)] == [False] * 6 + [True]


def test_no_wrappers_no_change():
    env = CartPole()
    assert apply_wrappers(env, []) is env


def test_every_problem_at_once():
    specs = [
        "frame_stac",
        {"frame_stack": {"m": 4, "n": 3}},
        {"time_limit": {}},
        {"reward_clip": {"low": 2}},
        {"reward_scale": None},
        {"a": {}, "b": {}},
        7,
        {"frame_stack": 4},
        "no_such_module:Thing",
        "marl.wrappers:Nothing",
        {"observation_function": {"function": "marl.wrappers:nothing"}},
        {f"{__name__}:Marked": {"marc": 1}},
    ]
    with pytest.raises(ConfigError) as caught:
        apply_wrappers(CartPole(), specs)
    text = str(caught.value)
    for words in (
        "wrappers[0]: 'frame_stac': is no wrapper → or module:Class for a wrapper of your own. Did you mean 'frame_stack'?",
        "wrappers[1].frame_stack.m: is no option of this wrapper",
        "wrappers[2].time_limit.max_ticks: is missing",
        "wrappers[3].reward_clip.low: is 2, high is 1.0",
        "wrappers[4].reward_scale.factor: is missing",
        "wrappers[5]: is {'a': {}, 'b': {}}",
        "wrappers[6]: is 7",
        "wrappers[7]: is {'frame_stack': 4}",
        "wrappers[8]: 'no_such_module:Thing': there is no module 'no_such_module'",
        "wrappers[9]: 'marl.wrappers:Nothing': marl.wrappers has no 'Nothing'",
        "wrappers[10].observation_function.function: 'marl.wrappers:nothing'",
        f"wrappers[11].{__name__}:Marked.marc: is no option of this wrapper → Did you mean 'mark'?",
        f"wrappers[11].{__name__}:Marked.mark: is missing",
    ):
        assert words in text
    assert len(caught.value.problems) == 13


def test_what_only_the_environment_shows_is_placed_too():
    with pytest.raises(ConfigError) as caught:
        apply_wrappers(CartPole(), [{"time_limit": {"max_ticks": 3}}, "grey_image"])
    assert caught.value.problems[0].key == "wrappers[1].grey_image"


@pytest.mark.parametrize("specs", ["frame_stack", {"frame_stack": {}}, None])
def test_the_list_is_a_list(specs):
    (problem,) = check_wrappers(specs)
    assert problem.key == "wrappers"


def test_array_native_games_are_refused():
    with pytest.raises(ConfigError, match="VectorCartPole is array-native"):
        apply_wrappers(VectorCartPole(2), ["agent_id"])


def test_imports_are_listed():
    specs = ["agent_id", {"a.b:C": None}, {"observation_function": {"function": "d:e", "observation_spaces": "d:space"}}]
    assert wrapper_imports(specs) == ["a.b:C", "d:e", "d:space"]


@pytest.mark.parametrize("name", WRAPPERS)
def test_check_options_takes_what_the_constructor_takes(name):
    """The checks before an environment exists know the same options and defaults as the wrapper."""
    options = [(one.name, one.default) for one in list(inspect.signature(WRAPPERS[name]).parameters.values())[1:]]
    checked = [(one.name, one.default) for one in inspect.signature(WRAPPERS[name].check_options).parameters.values()]
    assert checked == options


def test_importing_wrappers_loads_no_image_library():
    code = "import sys, marl.wrappers; assert not {'PIL', 'imageio', 'torch', 'pydantic'} & set(sys.modules), sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
