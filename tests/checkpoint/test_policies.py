"""One policy of a checkpoint on its own: without trainer, environment or Ray."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

import marl
from marl.checkpoint import PolicyRecord, load_config, load_policy, read_manifest, read_policy, save_state, trusting
from marl.errors import CheckpointError, PluginError
from marl.policy import Discount, PolicySpec
from marl.spaces import split_mask

GAME = {
    "env": "marl_envs/tic_tac_toe-v1",
    "policies": {
        "main": {"algorithm": "ppo", "model": {"hidden": [16]}, "discount": {"gamma": 0.9}},
        "rival": {"algorithm": "ppo", "model": {"hidden": [8]}},
        "coin": {"player": "random"},
    },
    "mapping": {"player_1": {"main": 1, "coin": 1}, "player_2": "rival"},
    "envs_per_worker": 2,
    "rollout_fragment_env_steps": 20,
    "seed": 3,
    "loggers": (),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[marl.Trainer, Path]:
    trainer = marl.Trainer(GAME)
    trainer.train()
    trainer.train()
    return trainer, trainer.save(tmp_path_factory.mktemp("run") / "checkpoint")


def observations(count: int) -> list[dict]:
    """Observations of random play, as the game gives them."""
    env, rng, found = marl.make_env("marl_envs/tic_tac_toe-v1"), np.random.default_rng(0), []
    while len(found) < count:
        seen, _ = env.reset(seed=int(rng.integers(1000)))
        over = False
        while not over:
            ((agent, one),) = seen.items()
            found.append(one)
            move = int(rng.choice(np.flatnonzero(one["action_mask"])))
            seen, _, terminateds, _, _ = env.step({agent: move})
            over = terminateds["__all__"]
    return found[:count]


def test_a_loaded_policy_plays_as_the_trainers_own(saved):
    trainer, path = saved
    for policy_id in ("main", "rival"):
        player = load_policy(path, policy_id)
        for one in observations(60):
            action = player.act(one)
            (own,) = trainer.compute_actions({"player_1": one}, policy_ids={"player_1": policy_id}).values()
            assert action == own
            assert one["action_mask"][action]


def test_exploring_players_draw_from_their_own_seed_and_only_legal_moves(saved):
    _, path = saved
    seen = observations(60)
    one, same, other = (load_policy(path, "main", seed=seed) for seed in (1, 1, 2))
    moves = [[player.act(obs, explore=True) for obs in seen] for player in (one, same, other)]
    assert moves[0] == moves[1]
    assert moves[0] != moves[2]
    assert all(obs["action_mask"][move] for obs, move in zip(seen, moves[0]))


def test_weights_versions_and_descriptions_come_back(saved):
    trainer, path = saved
    record = read_policy(path, "main")
    weights = trainer.get_policy("main").get_weights()
    assert {name: array.tobytes() for name, array in record.weights.items()} == {name: array.tobytes() for name, array in weights.items()}
    assert record.version == 2
    assert record.counters == trainer.get_policy("main").policy.counters
    assert record.spec.discount == Discount(0.9)
    assert record.spec.observation_space == trainer.plan.specs["main"].observation_space
    assert (record.kind, record.source, record.learned) == ("algorithm", "ppo", True)


def test_players_are_policies_too(saved):
    _, path = saved
    coin = load_policy(path, "coin")
    seen = observations(200)
    moves = [coin.act(one) for one in seen]
    assert all(one["action_mask"][move] for one, move in zip(seen, moves))
    empty = [move for one, move in zip(seen, moves) if one["action_mask"].all()]
    assert len(set(empty)) > 3


def test_which_policy(saved, tmp_path):
    _, path = saved
    with pytest.raises(CheckpointError, match=r"several policies .*learned: main, rival.*say which: load_policy\(path, policy_id\)"):
        load_policy(path)
    with pytest.raises(CheckpointError, match=r"has no policy 'mian'\. Did you mean 'main'"):
        load_policy(path, "mian")
    spec = PolicySpec("only", spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(3))
    one = save_state(tmp_path / "one", {}, policies=[PolicyRecord(spec, "player", "constant", {}, learned=True)])
    assert load_policy(one).act(np.zeros(2, np.float32)) == 0


def test_only_the_policys_own_files_are_read(saved, tmp_path):
    import shutil

    _, path = saved
    copy = shutil.copytree(path, tmp_path / "copy")
    for name in read_manifest(copy).files:
        if not name.startswith("policies/main/"):
            (copy / name).write_bytes(b"damaged")
    player = load_policy(copy, "main")
    assert [player.act(one) for one in observations(5)] == [load_policy(path, "main").act(one) for one in observations(5)]
    with pytest.raises(CheckpointError, match=r"policies/rival/policy.json has 7 bytes"):
        load_policy(copy, "rival")


def test_neither_ray_nor_environment_nor_trainer_is_loaded(saved, tmp_path):
    _, path = saved
    seen = observations(3)
    np.save(tmp_path / "obs.npy", np.stack([np.asarray(split_mask(one)[0]) for one in seen]))
    np.save(tmp_path / "mask.npy", np.stack([one["action_mask"] for one in seen]))
    code = f"""
import sys, numpy as np, marl
player = marl.load_policy({str(path)!r}, "main")
obs, masks = np.load("obs.npy"), np.load("mask.npy")
print([player.act({{"observation": one, "action_mask": mask}}) for one, mask in zip(obs, masks)])
print([name for name in ("ray", "pettingzoo", "marl_envs", "marl.trainer", "marl.sampler", "marl.local") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    actions, loaded = done.stdout.splitlines()
    player = load_policy(path, "main")
    assert json.loads(actions) == [player.act(one) for one in seen]
    assert loaded == "[]"


def test_a_tensor_that_is_shared_is_saved_with_its_owner_alone(tmp_path):
    from safetensors.numpy import load_file

    box, choice = spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(2)
    trunk, head = np.arange(6.0), np.ones(2)
    owner = PolicyRecord(PolicySpec("a", box, choice), "algorithm", "ppo", {"trunk": trunk, "head": head})
    sharer = PolicyRecord(
        PolicySpec("b/odd id.", box, choice, shared={"trunk": "a"}), "algorithm", "ppo", {"trunk": trunk, "head": head + 1}
    )
    path = save_state(tmp_path / "c", {}, policies=[owner, sharer])
    stored = {str(file.relative_to(path)): sorted(load_file(file)) for file in path.rglob("*.safetensors")}
    assert stored == {
        "policies/a/policy.safetensors": ["weights/head", "weights/trunk"],
        "policies/b%2Fodd id%2E/policy.safetensors": ["weights/head"],
    }
    back = read_policy(path, "b/odd id.")
    assert back.weights["trunk"].tolist() == trunk.tolist()
    assert back.weights["head"].tolist() == [2.0, 2.0]
    assert back.spec.shared == {"trunk": "a"}


def test_group_agents_and_global_state_come_back(tmp_path):
    box, choice = spaces.Box(0, 1, (3,), np.float32), spaces.Discrete(4)
    spec = PolicySpec(
        "team",
        spaces.Tuple([box, box]),
        spaces.Tuple([choice, choice]),
        agents=("team_*", ("x", 1)),
        group={"a": (box, choice), "b": (box, choice)},
        global_state_space=spaces.Box(-np.inf, np.inf, (5,), np.float64),
        discount=Discount(0.5, "tick"),
    )
    back = read_policy(save_state(tmp_path / "c", {}, policies=[PolicyRecord(spec, "player", "random", {})]), "team").spec
    assert back == spec


def test_an_algorithm_that_is_not_installed(tmp_path):
    spec = PolicySpec("p", spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(2))
    path = save_state(tmp_path / "c", {}, policies=[PolicyRecord(spec, "algorithm", "ppoo", {})])
    with pytest.raises(PluginError, match=r"policy 'p' was trained by 'ppoo': no algorithm is called 'ppoo'. Did you mean 'ppo'"):
        load_policy(path, "p")


# ------------------------------------------------------------------ code in checkpoints

MY_CODE = """
class Bot:
    def __init__(self, move=0):
        self.move, self.calls = move, 0
    def act(self, obs, info):
        self.calls += 1
        return self.move + self.calls

def seat(agent_id):
    return "main"

class Env:
    possible_agents = []
"""


@pytest.fixture
def my_code(tmp_path, monkeypatch):
    (tmp_path / "my_bots.py").write_text(MY_CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("my_bots", None)


def bot_checkpoint(path: Path) -> Path:
    spec = PolicySpec("bot", spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(9), config={"move": 3})
    return save_state(path, {}, policies=[PolicyRecord(spec, "player", "my_bots:Bot", {}, learned=False)])


def test_a_scripted_player_needs_trust_and_is_listed_before_it_is_imported(my_code, tmp_path, caplog):
    path = bot_checkpoint(tmp_path / "c")
    for trust in ((), ("my_bot",), ("my_bots_too",)):
        with pytest.raises(CheckpointError, match=r"(?s)nothing was imported:\n  policies.bot.player: my_bots:Bot.*trust=\['my_bots'\]"):
            load_policy(path, "bot", trust=trust)
        assert "my_bots" not in sys.modules
    bot = load_policy(path, "bot", trust=["my_bots"])
    assert "importing my_bots:Bot (policies.bot.player)" in caplog.text
    obs = np.zeros(2, np.float32)
    assert [bot.act(obs), bot.act(obs)] == [4, 5]
    bot.reset()
    assert bot.act(obs) == 4


def test_functions_are_saved_by_name(my_code, tmp_path):
    import my_bots

    path = save_state(tmp_path / "c", {"x": {"f": my_bots.seat}}, config={"policy_mapping_fn": my_bots.seat, "env": "my_bots:Env"})
    with pytest.raises(CheckpointError, match=r"(?s)policy_mapping_fn: my_bots:seat.*env: my_bots:Env.*--trust my_bots"):
        load_config(path)
    assert load_config(path, trust=["my_bots"]) == {"policy_mapping_fn": my_bots.seat, "env": "my_bots:Env"}
    assert load_config(path, given=["policy_mapping_fn", "env"]) == {}
    with pytest.raises(CheckpointError, match="my_bots:seat"):
        marl.checkpoint.load_state(path)


def test_what_has_no_name_must_be_given_again_and_all_of_it_is_said(tmp_path):
    def local(agent_id):
        return "main"

    path = save_state(tmp_path / "c", {}, config={"policy_mapping_fn": local, "match_fn": lambda episode: None, "seed": 3})
    with pytest.raises(CheckpointError) as caught:
        load_config(path)
    assert f"policy_mapping_fn: <unsaved: {__file__}:" in str(caught.value)
    assert f"match_fn: <unsaved: {__file__}:" in str(caught.value)
    with pytest.raises(CheckpointError, match="match_fn") as caught:
        load_config(path, given=["policy_mapping_fn"])
    assert "policy_mapping_fn" not in str(caught.value)
    assert load_config(path, given=["policy_mapping_fn", "match_fn"]) == {"seed": 3}


def test_an_object_that_was_a_callback_is_named_once_with_the_way_to_give_it_again(tmp_path):
    class Counts:
        def on_episode_end(self, episode, record):
            raise AssertionError("not played")

    path = save_state(tmp_path / "c", {}, config={"callbacks": [Counts()], "match_fn": lambda episode: None})
    with pytest.raises(CheckpointError) as caught:
        load_config(path)
    assert str(caught.value).count("<unsaved") == 2
    assert "marl.Trainer.restore(path, overrides={'callbacks': …}, match_fn=…)" in str(caught.value)


def test_what_a_player_cannot_act_on_is_said_with_what_it_expects(saved):
    player = load_policy(saved[1], "main")
    for garbage in (None, np.zeros(3), "board", {"action_mask": np.ones(9)}):
        with pytest.raises(marl.MarlError, match="expected"):
            player.act(garbage)


def test_a_damaged_checkpoint_does_not_recommend_itself(saved, tmp_path, monkeypatch):
    runs = tmp_path / "run" / "checkpoints"
    shutil.copytree(saved[1], runs / "iteration_000001")
    (runs / "iteration_000001" / "manifest.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        read_manifest("run/checkpoints/iteration_000001")
    assert "nearby" not in str(caught.value)


def test_a_checkpoint_reaches_no_other_code_through_marl(tmp_path):
    spec = PolicySpec("p", spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(2))
    for source, said in {
        "marl.checkpoint.files:os.system": "names code that is no installed entry point",
        "marl.registry:importlib.import_module": "names code that is no installed entry point",
        "marl.config.plugins:entry_points": "is not marl.config.plugins's own",
    }.items():
        path = save_state(tmp_path / source.rpartition(":")[2], {}, policies=[PolicyRecord(spec, "player", source, {})])
        with pytest.raises(CheckpointError, match=said):
            load_policy(path, "p")


def test_a_network_in_the_policys_config_needs_trust(tmp_path):
    """The plugin imports it by itself, so its name must be let through before the plugin sees it."""
    config = {"model": {"module": "evil_package:Net", "hidden": (8,)}}
    spec = PolicySpec("p", spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(2), config=config)
    path = save_state(tmp_path / "c", {}, policies=[PolicyRecord(spec, "algorithm", "ppo", {})])
    with pytest.raises(CheckpointError, match=r"policies\.p\.config\.model\.module: evil_package:Net"):
        load_policy(path, "p")
    with trusting(["evil_package"]):
        assert read_policy(path, "p").spec.config == config
    config = {"optimizer": "torch.optim:SGD", "algorithm": "ppo", "env_config": {"time": "ab:cd"}}
    assert load_config(save_state(tmp_path / "d", {}, config=config)) == config


def test_restore_asks_for_trust_and_for_what_was_not_saved(tmp_path, my_code):
    import my_bots

    for mapping in (my_bots.seat, lambda agent_id: "main"):
        config = {**GAME, "policies": {"main": GAME["policies"]["main"]}, "mapping": None, "policy_mapping_fn": mapping}
        trainer = marl.Trainer(config)
        trainer.train()
        path = trainer.save(tmp_path / "c")
        with pytest.raises(CheckpointError, match=r"policy_mapping_fn: (my_bots:seat|<unsaved: )"):
            marl.Trainer.restore(path)
        restored = marl.Trainer.restore(path, policy_mapping_fn=my_bots.seat)
        assert restored.iteration == 1
    trainer = marl.Trainer({**GAME, "policies": {"main": GAME["policies"]["main"]}, "mapping": None, "policy_mapping_fn": my_bots.seat})
    path = trainer.save(tmp_path / "d")
    assert marl.Trainer.restore(path, trust=["my_bots"]).config.policy_mapping_fn is my_bots.seat
