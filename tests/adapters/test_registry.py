"""Names, the rule of creation, and how adapters are found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from marl import registry
from marl.env import BaseMultiAgentEnv, EnvContext
from marl.errors import ConfigError, EnvError, PluginError
from marl.registry import Adapter, creation_rule, describe_creation, is_creator, known_envs, make_env, register_env


class Game(BaseMultiAgentEnv):
    """An environment of our own kind that remembers how it was made."""

    def __init__(self, size: int = 3, *, speed: float = 1.0) -> None:
        self.made_with: Any = {"size": size, "speed": speed}
        self.possible_agents = ["a"]
        self.observation_spaces = {"a": spaces.Discrete(2)}
        self.action_spaces = {"a": spaces.Discrete(2)}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return {"a": 0}, {}

    def step(self, actions: Any, /) -> Any:
        return {"a": 0}, {"a": 0.0}, {"__all__": False}, {"__all__": False}, {}


class Contextual(Game):
    """Made with one positional context, whose items it takes away."""

    def __init__(self, config: EnvContext) -> None:
        super().__init__()
        self.made_with = config
        self.speed = config.pop("speed", None)


def named_config(config: Any = None, extra: int = 0) -> Game:
    game = Game()
    game.made_with = config
    return game


def required(n: Any) -> Game:
    return named_config(n)


def keywords(size: int = 1, config: Any = None) -> Game:
    return Game(size)


def anything(**settings: Any) -> Game:
    game = Game()
    game.made_with = settings
    return game


def only_keywords(*, config: Any) -> Game:
    return named_config(config)


def positional(*parts: Any) -> Game:
    return named_config(parts)


class Factory:
    """An object that is called."""

    def __call__(self, env_config: Any = None) -> Game:
        return named_config(env_config)


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_registered", {})
    yield
    registry._entry_points.cache_clear()
    registry._loaded.cache_clear()


def use_entry_points(monkeypatch: pytest.MonkeyPatch, **groups: list[EntryPoint]) -> None:
    """Only these entry points exist: ``adapters`` and ``envs``."""
    found = {f"marl.{group}": points for group, points in groups.items()}
    monkeypatch.setattr(registry, "entry_points", lambda group: found.get(group, []))
    registry._entry_points.cache_clear()
    registry._loaded.cache_clear()


# ------------------------------------------------------------------ the rule of creation


@pytest.mark.parametrize(
    ("creator", "rule"),
    [
        (Game, "keywords"),
        (Contextual, "context"),
        (named_config, "context"),
        (required, "context"),
        (keywords, "keywords"),
        (anything, "keywords"),
        (only_keywords, "keywords"),
        (positional, "keywords"),
        (Factory(), "context"),
        (lambda context=None: Game(), "context"),
        (lambda env_config=None: Game(), "context"),
        (lambda: Game(), "keywords"),
    ],
)
def test_rule(creator: Any, rule: str) -> None:
    assert creation_rule(creator) == rule
    assert is_creator(creator)


def test_context_is_passed_with_the_place_of_the_copy() -> None:
    context = EnvContext(worker_index=2, vector_index=5, num_workers=3)
    for creator in (Contextual, named_config, required, Factory(), f"{__name__}:Contextual"):
        made = make_env(creator, {"speed": 2}, context=context).made_with
        assert isinstance(made, EnvContext)
        assert (made.worker_index, made.vector_index, made.num_workers) == (2, 5, 3)
    assert context == {}


def test_each_creation_gets_a_context_of_its_own() -> None:
    config = {"speed": 2}
    assert make_env(Contextual, config).speed == 2
    assert make_env(Contextual, config).speed == 2
    assert config == {"speed": 2}


def test_items_of_config_come_after_those_of_the_context() -> None:
    assert make_env(required, {"b": 3}, context=EnvContext({"a": 1, "b": 2})).made_with == {"a": 1, "b": 3}


def test_keywords_are_passed_to_every_other_creator() -> None:
    assert make_env(Game, {"size": 7, "speed": 0.5}).made_with == {"size": 7, "speed": 0.5}
    assert make_env(anything, {"whatever": 1}).made_with == {"whatever": 1}
    assert make_env(Game).made_with == {"size": 3, "speed": 1.0}


def test_an_unknown_keyword_is_named_with_the_nearest_one_before_anything_is_made() -> None:
    with pytest.raises(ConfigError) as caught:
        make_env(Game, {"sise": 7, "zzz": 1})
    assert [problem.key for problem in caught.value.problems] == ["env_config.sise", "env_config.zzz"]
    assert "did you mean 'size'?" in str(caught.value)
    assert "it takes: size, speed" in str(caught.value)


def test_config_must_be_a_mapping() -> None:
    with pytest.raises(ConfigError, match=r"env_config: expected a mapping, found list"):
        make_env(Game, [1])  # type: ignore[arg-type]


def test_the_rule_that_applies_is_said_in_words() -> None:
    assert "positional EnvContext, because its first parameter is called 'config'" in describe_creation(named_config)
    assert "because its first parameter 'n' is required" in describe_creation(required)
    assert "items of env_config as keywords" in describe_creation(Game)
    assert describe_creation(f"{__name__}:Game") == describe_creation(Game)
    assert "an instance" in describe_creation(Game())
    assert "made by the adapter 'gymnasium'" in describe_creation("gymnasium/CartPole-v1")


# ------------------------------------------------------------------ instances


def test_an_environment_of_ours_passes_through() -> None:
    game = Game()
    assert make_env(game) is game
    assert make_env(game, {}) is game


def test_keys_for_an_instance_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"env_config.size: Game is made already"):
        make_env(Game(), {"size": 3})


def test_a_vector_environment_passes_through() -> None:
    class Vector:
        num_envs, slots = 2, ("a",)
        single_observation_spaces = single_action_spaces = {"a": spaces.Discrete(2)}

        def reset(self, *, seed: Any = None, mask: Any = None) -> Any: ...

        def step(self, actions: Any, *, active: Any = None, next_seeds: Any, next_options: Any = None) -> Any: ...

    assert isinstance(make_env(Vector), Vector)


def test_what_is_no_environment_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(EnvError, match=r"dict is no environment: it has no reset, step, possible_agents"):
        make_env(dict)
    with pytest.raises(EnvError, match=r"int is no environment"):
        make_env(3)


# ------------------------------------------------------------------ names


@pytest.mark.usefixtures("clean")
def test_registered_names() -> None:
    register_env("my_game", Game)
    assert make_env("my_game", {"size": 9}).made_with["size"] == 9
    assert "my_game" in known_envs()
    register_env("my_game", Game)  # the same one again, as in a notebook cell
    with pytest.raises(PluginError, match=r"'my_game' is already .*:Game; .*replace=True"):
        register_env("my_game", anything)
    register_env("my_game", anything, replace=True)
    assert make_env("my_game", {"x": 1}).made_with == {"x": 1}


@pytest.mark.parametrize("name", ["", "a:b", 3])
def test_impossible_names_are_refused(name: Any) -> None:
    with pytest.raises(PluginError, match="cannot be a name"):
        register_env(name, Game)


def test_what_is_not_callable_cannot_be_registered() -> None:
    with pytest.raises(PluginError, match="expected a class or a function"):
        register_env("game", Game())


def test_module_and_attribute() -> None:
    assert isinstance(make_env(f"{__name__}:Game"), Game)
    with pytest.raises(PluginError, match=r"there is no module 'no_such_module'"):
        make_env("no_such_module.sub:Game")
    with pytest.raises(PluginError, match=r"has no 'Gam'. Did you mean 'Game'\?"):
        make_env(f"{__name__}:Gam")


def test_an_import_error_inside_the_users_module_is_the_users_own(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_game_module.py").write_text("import a_library_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_not_there"):
        make_env("broken_game_module:Game")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("CartPole-v1", "gymnasium/CartPole-v1"),
        ("gymnasium/CartPol-v1", "gymnasium/CartPole-v1"),
        ("gymnasum/CartPole-v1", "gymnasium/CartPole-v1"),
        ("tictactoe_v3", "pettingzoo/classic/tictactoe_v3"),
        ("petting_zoo/classic/tictactoe_v3", "pettingzoo/classic/tictactoe_v3"),
        ("pettingzoo/classic/tictactoe_v2", "pettingzoo/classic/tictactoe_v3"),
        ("pettingzoo/tictactoe_v3", "pettingzoo/classic/tictactoe_v3"),
        ("mpe2/simple_spred_v3", "mpe2/simple_spread_v3"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(wrong: str, right: str) -> None:
    pytest.importorskip("pettingzoo", reason="the nearest names are of an extra")
    with pytest.raises(PluginError, match=f"Did you mean '{right}'"):
        make_env(wrong)


def test_a_name_like_no_other_is_answered_with_the_ways_there_are() -> None:
    with pytest.raises(PluginError, match=r"no environment is called 'qqqq'.*gymnasium/….*module.path:EnvClass, or register_env"):
        make_env("qqqq")


@pytest.mark.usefixtures("clean")
def test_entry_points_of_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("theirs/game-v1", f"{__name__}:Game", "marl.envs")
    use_entry_points(monkeypatch, envs=[point])
    assert make_env("theirs/game-v1", {"size": 2}).made_with["size"] == 2
    assert known_envs() == ["theirs/game-v1"]
    use_entry_points(monkeypatch, envs=[point, EntryPoint("theirs/game-v1", "other:Game", "marl.envs")])
    with pytest.raises(PluginError, match=r"'theirs/game-v1' of marl.envs is given twice"):
        make_env("theirs/game-v1")
    use_entry_points(monkeypatch, envs=[EntryPoint("theirs/game-v1", "no_such_package:Game", "marl.envs")])
    with pytest.raises(PluginError, match=r"no_such_package:Game\) does not load"):
        make_env("theirs/game-v1")


# ------------------------------------------------------------------ adapters


class Foreign:
    """Something of another library."""

    def __init__(self, level: int = 0) -> None:
        self.level = level


def _adapt(thing: Any, context: EnvContext) -> Game:
    game = Game()
    game.made_with = (thing if isinstance(thing, str) else thing.level, dict(context), context.vector_index)
    return game


ONE = Adapter("one", lambda env: isinstance(env, Foreign), _adapt, options=("mode",), names=lambda: ["one/x", "one/y"])
TWO = Adapter("two", lambda env: isinstance(env, Foreign), _adapt)


def point(prefix: str, attribute: str) -> EntryPoint:
    return EntryPoint(prefix, f"{__name__}:{attribute}", "marl.adapters")


@pytest.mark.usefixtures("clean")
def test_an_adapter_makes_names_and_takes_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    use_entry_points(monkeypatch, adapters=[point("one", "ONE")])
    place = EnvContext(vector_index=4)
    assert make_env("one/x", {"mode": 1, "level": 2}, context=place).made_with == ("one/x", {"mode": 1, "level": 2}, 4)
    assert make_env(Foreign(3), {"mode": 1}, context=place).made_with == (3, {"mode": 1}, 4)
    assert known_envs() == ["one/x", "one/y"]


@pytest.mark.usefixtures("clean")
def test_an_adapters_keys_do_not_reach_the_creator(monkeypatch: pytest.MonkeyPatch) -> None:
    use_entry_points(monkeypatch, adapters=[point("one", "ONE")])
    assert make_env(Foreign, {"mode": 1, "level": 2}).made_with == (2, {"mode": 1}, 0)
    assert make_env(lambda config: Foreign(config["level"]), {"mode": 1, "level": 2}).made_with == (2, {"mode": 1}, 0)
    assert make_env(lambda mode=0: Foreign(mode), {"mode": 1}).made_with == (1, {}, 0)  # a creator's own parameter is the creator's
    with pytest.raises(ConfigError, match=r"env_config.mode: .*Game is made already"):
        make_env(Game, {"mode": 1})
    with pytest.raises(ConfigError, match=r"env_config.level: Foreign is made already"):
        make_env(Foreign(), {"level": 1})


@pytest.mark.usefixtures("clean")
def test_two_matching_adapters_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    use_entry_points(monkeypatch, adapters=[point("one", "ONE"), point("two", "TWO")])
    with pytest.raises(PluginError, match=r"the adapters 'one' and 'two' both match Foreign"):
        make_env(Foreign())


@pytest.mark.usefixtures("clean")
def test_an_entry_point_that_is_no_adapter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    use_entry_points(monkeypatch, adapters=[point("one", "Game")])
    with pytest.raises(PluginError, match=r"entry point 'one' of marl.adapters: expected a marl.registry.Adapter with prefix 'one'"):
        make_env("one/x")
    use_entry_points(monkeypatch, adapters=[point("uno", "ONE")])
    with pytest.raises(PluginError, match=r"with prefix 'uno', found one with prefix 'one'"):
        make_env("uno/x")


def test_every_adapter_of_ours_is_found() -> None:
    assert {"gymnasium", "mpe2", "pettingzoo", "rllib"} <= registry._entry_points("marl.adapters").keys()


def test_an_adapter_whose_library_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pettingzoo", None)
    with pytest.raises(PluginError, match=r"needs pettingzoo.*pip install 'marl-framework\[pettingzoo\]'"):
        make_env("pettingzoo/classic/tictactoe_v3")
    monkeypatch.undo()
    pytest.importorskip("pettingzoo", reason="the family is looked up in the library")
    with pytest.raises(PluginError, match=r"needs multi_agent_ale_py.*pip install 'pettingzoo\[atari\]'"):
        make_env("pettingzoo/atari/pong_v3")


def test_the_core_imports_no_environment_library() -> None:
    """Finding the adapters, and asking each whether an object is of its library, imports none of the libraries."""
    code = (
        "import sys\n"
        "from marl.registry import make_env, known_envs\n"
        f"from {__name__.rpartition('.')[2]} import Game\n"
        "make_env(Game()); make_env('gymnasium/CartPole-v1'); known_envs()\n"
        "heavy = {'pettingzoo', 'mpe2', 'ray', 'torch', 'pygame', 'networkx'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    from pathlib import Path

    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)


def test_gymnasium_environments_are_adapted_by_themselves() -> None:
    env = make_env(gymnasium.make("CartPole-v1"))
    assert env.possible_agents == ["agent_0"]
    observations, _ = env.reset(seed=1)
    assert np.array_equal(observations["agent_0"], gymnasium.make("CartPole-v1").reset(seed=1)[0])
