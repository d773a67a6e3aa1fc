"""The acting side: equal numbers stacked and alone, weights that go round, greedy choices, filters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from rows import act, box, observations, spec

from marl.errors import ConfigError
from marl_plugins.actor_critic import ActorCriticPolicy

ACTIONS = {
    "discrete": spaces.Discrete(5),
    "multi_discrete": spaces.MultiDiscrete([3, 2, 2]),
    "box": spaces.Box(-1, 1, (2,)),
    "mixed": spaces.Dict({"a": spaces.Discrete(3), "b": spaces.Box(-1, 1, (2,))}),
}


def policy(action_space=ACTIONS["discrete"], observation_space=None, *, seed: int = 0, policy_id: str = "p", **keys) -> ActorCriticPolicy:
    one = ActorCriticPolicy(spec(observation_space or box(6), action_space, policy_id=policy_id, **keys), seed=seed)
    rng = np.random.default_rng(seed)
    weights = one.get_weights()  # stronger preferences than the first weights have
    weights["net/policy_head.weight"] = rng.normal(size=weights["net/policy_head.weight"].shape).astype(np.float32)
    for name, stats in one.filters.items():
        stats.update(rng.normal(2.0, 3.0, (50, *one.observation.columns[name][0])))
        weights |= {f"stats/filter/{name}/{key}": value for key, value in stats.get().items()}
    one.value_stats.update(rng.normal(5.0, 2.0, 50))
    weights |= {f"stats/value/{key}": value for key, value in one.value_stats.get().items()}
    one.set_weights(weights, version=1)
    return one


def test_columns_are_what_it_says():
    one, rng = policy(), np.random.default_rng(0)
    actions, columns = act(one, observations(one, 7, rng)["obs"], rng)
    assert set(columns) == set(one.columns)
    for name, (shape, dtype) in one.columns.items():
        assert columns[name].shape == (7, *shape)
        assert columns[name].dtype == dtype
    assert actions.dtype == np.int64


@pytest.mark.parametrize("filtered", ["none", "mean_std"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize("counts", [(4, 4, 4), (5, 0, 2), (1, 1, 150)])
def test_stacked_gives_each_policy_what_it_gives_alone(name, masked, filtered, counts):
    members = [policy(ACTIONS[name], seed=i, policy_id=str(i), observation_filter=filtered) for i in range(3)]
    stacked = ActorCriticPolicy.stack(list(members))
    assert stacked is not None
    rng = np.random.default_rng(0)
    index = np.repeat(np.arange(3), counts)
    if name != "discrete":
        rng.shuffle(index)
    obs = rng.normal(size=(len(index), 6)).astype(np.float32)
    size = members[0].action.mask_size
    mask = None
    if masked and size:
        mask = rng.random((len(index), size)) < 0.5
        for part in members[0].action.parts:
            if part.n:
                mask[:, part.mask] = True
    for explore in (True, False):
        rngs = [np.random.default_rng(40 + i) for i in range(3)]
        actions, _, columns = stacked.act_batch(obs, policy_index=index, action_mask=mask, explore=explore, rngs=rngs, schedule_step=0)
        for i, member in enumerate(members):
            own = index == i
            alone_rng = np.random.default_rng(40 + i)
            alone, alone_columns = act(member, obs[own], alone_rng, mask=None if mask is None else mask[own], explore=explore)
            np.testing.assert_allclose(actions[own], alone, atol=1e-6, rtol=1e-6)
            for column in columns:
                np.testing.assert_allclose(
                    columns[column][own], alone_columns[column], atol=1e-5 if column == "values" else 1e-6, rtol=1e-6
                )
            assert rngs[i].random() == alone_rng.random()  # as many numbers drawn


def test_stacked_reads_weights_again_on_refresh():
    members = [policy(seed=i, policy_id=str(i)) for i in range(2)]
    stacked = ActorCriticPolicy.stack(list(members))
    members[0].set_weights(members[1].get_weights(), version=2)
    stacked.refresh()
    obs = np.repeat(np.random.default_rng(0).normal(size=(1, 6)), 2, axis=0).astype(np.float32)
    index, rngs = np.array([0, 1]), [np.random.default_rng(0) for _ in range(2)]
    _, _, columns = stacked.act_batch(obs, policy_index=index, action_mask=None, explore=False, rngs=rngs, schedule_step=0)
    assert columns["values"][0] == columns["values"][1]


def test_only_equal_shapes_are_stacked():
    small, large = policy(), policy(model={"hidden": [32]})
    other_actions = policy(ACTIONS["box"])
    images = policy(observation_space=spaces.Box(0, 255, (40, 40, 3), np.uint8))
    for pair in ([small, large], [small, other_actions], [small, images], [small]):
        assert ActorCriticPolicy.stack(list(pair)) is None


@pytest.mark.parametrize("filtered", ["none", "mean_std"])
def test_weights_go_round(filtered):
    one = policy(seed=1, observation_filter=filtered)
    other = ActorCriticPolicy(spec(box(6), ACTIONS["discrete"], observation_filter=filtered), seed=9)
    other.set_weights(one.get_weights(), version=4)
    assert other.version == 4
    obs = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)
    (actions, columns), (others, other_columns) = (act(each, obs, np.random.default_rng(3)) for each in (one, other))
    np.testing.assert_array_equal(actions, others)
    for name in columns:
        np.testing.assert_array_equal(columns[name], other_columns[name])


def test_weights_given_are_copies():
    one = policy()
    weights = one.get_weights()
    before = one.get_weights()["net/value_head.bias"].copy()
    weights["net/value_head.bias"] += 1
    np.testing.assert_array_equal(one.get_weights()["net/value_head.bias"], before)


def test_weights_of_another_network_are_refused_by_name():
    with pytest.raises(ConfigError, match=r"net/policy_body.layers.0.weight is \(6, 32\), expected \(6, 64\)"):
        policy().set_weights(policy(model={"hidden": [32, 64]}).get_weights(), version=1)


def test_exploring_draws_from_its_generator_alone():
    one = policy()
    obs = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)
    np.random.seed(0)
    torch.manual_seed(0)
    before, torch_before = np.random.get_state()[1].copy(), torch.random.get_rng_state()
    first, second = act(one, obs, np.random.default_rng(1))[0], act(one, obs, np.random.default_rng(1))[0]
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert torch.equal(torch.random.get_rng_state(), torch_before)


def test_greedy_draws_nothing_and_takes_the_best():
    one, rng = policy(), np.random.default_rng(1)
    obs = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)
    state = rng.bit_generator.state
    actions, _ = act(one, obs, rng, explore=False)
    assert rng.bit_generator.state == state
    np.testing.assert_array_equal(actions, one.action_distribution(obs)["probabilities"][0].argmax(axis=1))


def test_a_filter_normalises_what_the_network_sees():
    one = policy(observation_filter="mean_std")
    raw = np.random.default_rng(0).normal(2, 3, (5, 6)).astype(np.float32)
    stats = one.filters["obs"]
    by_hand = (raw - stats.mean) / np.sqrt(stats.variance + 1e-8)
    with torch.no_grad():
        expected = one.value_stats.denormalize(one.net(torch.from_numpy(by_hand.astype(np.float32)))[1].numpy())
    np.testing.assert_allclose(act(one, raw, np.random.default_rng(0))[1]["values"], expected, rtol=1e-4, atol=1e-4)


class TwoTowers(torch.nn.Module):
    """A user's network over structured observations."""

    structured = True

    def __init__(self, spec, num_outputs, width=4):
        super().__init__()
        self.place = torch.nn.Linear(2, width)
        self.goal = torch.nn.Linear(3, width)
        self.out = torch.nn.Linear(width, num_outputs + 1)

    def forward(self, obs):
        out = self.out(torch.tanh(self.place(obs["obs/place"]) + self.goal(obs["obs/goal"])))
        return out[:, :-1], out[:, -1]


@pytest.mark.parametrize("filtered", ["none", "mean_std"])
def test_a_module_of_ones_own_sees_structure(filtered):
    space = spaces.Dict({"place": box(2), "goal": box(3)})
    keys = {"model": {"module": TwoTowers, "module_options": {"width": 7}}, "observation_filter": filtered}
    one = ActorCriticPolicy(spec(space, spaces.Discrete(3), **keys), seed=0)
    assert set(one.observation.columns) == {"obs/place", "obs/goal"}
    assert one.net.place.out_features == 7
    again = ActorCriticPolicy(spec(space, spaces.Discrete(3), **keys), seed=0)
    rng = np.random.default_rng(0)
    obs = observations(one, 5, rng)
    for left, right in zip(act(one, obs, np.random.default_rng(2)), act(again, obs, np.random.default_rng(2))):
        if isinstance(left, dict):
            np.testing.assert_array_equal(left["values"], right["values"])
        else:
            np.testing.assert_array_equal(left, right)


def test_a_module_by_name_and_what_is_none():
    made = ActorCriticPolicy(
        spec(spaces.Dict({"place": box(2), "goal": box(3)}), spaces.Discrete(3), model={"module": f"{__name__}:TwoTowers"}), seed=0
    )
    assert isinstance(made.net, torch.nn.Module)
    with pytest.raises(ConfigError, match=r"model.module: 'nowhere:Net' cannot be loaded"):
        ActorCriticPolicy(spec(box(2), spaces.Discrete(3), model={"module": "nowhere:Net"}), seed=0)
    with pytest.raises(ConfigError, match=r"expected|a class of torch.nn.Module"):
        ActorCriticPolicy(spec(box(2), spaces.Discrete(3), model={"module": lambda spec, num_outputs: 3}), seed=0)
