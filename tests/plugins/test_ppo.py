"""PPO: targets, losses, masks, minibatches and state, on rows made by hand."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from gymnasium import spaces
from pydantic import ValidationError
from rows import act, batch_of, box, learner, multi, spec

from marl.algorithm import Gradients
from marl.batch import SampleBatch
from marl.errors import ConfigError, PolicyError
from marl.policy import Counters
from marl_plugins.ppo import PPO, PPOMinibatch
from marl_plugins.torch_tools import Adam, FlatParameters, make_optimizer, resolve_device

DISCRETE = spaces.Discrete(4)
RNG = np.random.default_rng


def same(left, right) -> bool:
    """Nested states equal to the bit."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (np.ndarray, torch.Tensor)):
        return np.array_equal(np.asarray(left), np.asarray(right))
    return left == right


# ------------------------------------------------------------------ targets


def test_per_policy_gamma_gives_different_targets():
    ppo = learner(spec(box(3), DISCRETE, policy_id="far", gamma=0.99), spec(box(3), DISCRETE, policy_id="near", gamma=0.0))
    rows = batch_of(ppo.policies["far"], RNG(0))
    batch = ppo.prepare(multi({"far": SampleBatch(rows.columns, rows.offsets, rows.pieces), "near": rows}))
    near, far = batch.policies["near"], batch.policies["far"]
    np.testing.assert_allclose(near["value_targets"], near["rewards"], atol=1e-6)
    assert np.abs(far["value_targets"] - near["value_targets"]).max() > 0.1


def test_targets_use_the_final_observation_of_a_truncation_and_nothing_after_a_termination():
    ppo = learner(spec(box(3), DISCRETE, gamma=0.5), gae_lambda=0.0, normalize_advantages=False)
    policy = ppo.policies["p"]
    rows = batch_of(policy, RNG(0), rows=6, length=2)  # pieces: terminated, truncated, cut
    final = act(policy, rows.pieces["bootstrap_obs"], RNG(0))[1]["values"]
    ppo.prepare(multi({"p": rows}))
    r, v = rows["rewards"], rows["values"]
    expected = [r[0] + 0.5 * v[1], r[1], r[2] + 0.5 * v[3], r[3] + 0.5 * final[1], r[4] + 0.5 * v[5], r[5] + 0.5 * final[2]]
    np.testing.assert_allclose(rows["value_targets"], expected, rtol=1e-5)
    np.testing.assert_allclose(rows["advantages"], np.array(expected) - v, rtol=1e-4, atol=1e-6)


def test_a_discount_per_tick_reads_ticks_and_discounted_rewards():
    ppo = learner(spec(box(3), DISCRETE, gamma=0.5, per="tick"), gae_lambda=0.0, normalize_advantages=False)
    rows = batch_of(ppo.policies["p"], RNG(0), rows=4, length=4)
    rows["terminateds"] = np.zeros(4, bool)
    rows["env_steps"] = np.array([3, 0, 1, 2], np.int32)
    rows["rewards_discounted"] = np.array([1, 2, 3, 4], np.float32)
    v = np.append(rows["values"], ppo.policies["p"].values(rows.pieces["bootstrap_obs"]))
    ppo.prepare(multi({"p": rows}))
    np.testing.assert_allclose(rows["value_targets"], [1 + v[1] / 8, 2 + v[2], 3 + v[3] / 2, 4 + v[4] / 4], rtol=1e-5)


def test_old_rows_and_rows_without_what_follows_have_no_loss_but_keep_their_place():
    ppo = learner(spec(box(3), DISCRETE), max_version_lag=1, gae_lambda=1.0, epochs=1)
    ppo.version = 5
    rows = batch_of(ppo.policies["p"], RNG(0), rows=16, length=8, version=5)
    rows["weights_version"][:3] = [2, 3, 4]
    rows["terminateds"][:] = False
    rows.pieces["bootstrap_valid"][1] = False
    ppo.prepare(multi({"p": rows}))
    assert rows["loss_mask"].tolist() == [False, False] + [True] * 13 + [False]
    counted = rows["advantages"][rows["loss_mask"]]
    assert abs(counted.mean()) < 1e-5
    assert counted.std() == pytest.approx(1.0, rel=1e-4)
    seen = np.concatenate([one.rows["p"]["action_logp"].numpy() for one in ppo.minibatches(multi({"p": rows}), RNG(0))])
    np.testing.assert_array_equal(np.sort(seen), np.sort(rows["action_logp"][rows["loss_mask"]]))


def test_advantages_are_normalised_over_each_policys_own_rows():
    ppo = learner(spec(box(3), DISCRETE, policy_id="a"), spec(box(3), DISCRETE, policy_id="b"))
    batches = {name: batch_of(ppo.policies[name], RNG(0)) for name in "ab"}
    batches["b"]["rewards"] *= 100.0
    ppo.prepare(multi(batches))
    for rows in batches.values():
        assert rows["advantages"].mean() == pytest.approx(0.0, abs=1e-5)
        assert rows["advantages"].std() == pytest.approx(1.0, rel=1e-4)


# ------------------------------------------------------------------ the loss


def slow_loss(ppo: PPO, rows: SampleBatch) -> float:
    """The loss of all rows, row by row, from the module's formula."""
    config, policy = ppo.config, ppo.policies["p"]
    read = policy.action_distribution(rows["obs"])["probabilities"][0]
    _, columns = act(policy, rows["obs"], RNG(0))
    total = 0.0
    for i in range(rows.num_rows):
        ratio = read[i, rows["actions"][i]] / np.exp(rows["action_logp"][i])
        advantage = rows["advantages"][i]
        clipped = min(max(ratio, 1 - 0.2), 1 + 0.2)
        value, target, old = columns["values"][i], rows["value_targets"][i], rows["values"][i]
        cut = old + min(max(value - old, -config.value_clip), config.value_clip)
        total += -min(ratio * advantage, clipped * advantage)
        total += config.value_coeff * 0.5 * max((value - target) ** 2, (cut - target) ** 2)
        total += 0.03 * (read[i] * np.log(read[i])).sum()
        total += config.kl_coeff * (ratio - 1 - np.log(ratio))
    return total / rows.num_rows


def test_the_loss_is_the_formula():
    ppo = learner(spec(box(3), DISCRETE), clip=0.2, value_clip=0.05, value_coeff=0.7, entropy_coeff=0.03, kl_coeff=0.4, minibatch_rows=999)
    rows = batch_of(ppo.policies["p"], RNG(0))
    rows["action_logp"] += RNG(1).normal(0, 0.3, 64).astype(np.float32)
    rows["values"] += RNG(2).normal(0, 0.2, 64).astype(np.float32)
    ppo.prepare(multi({"p": rows}))
    (minibatch,) = [next(iter(ppo.minibatches(multi({"p": rows}), RNG(0))))]
    loss, _ = ppo._loss(ppo.policies["p"], minibatch.rows["p"])
    assert loss.item() == pytest.approx(slow_loss(ppo, rows), rel=1e-4)


class Structured(torch.nn.Module):
    """A user's network over a Dict, with a mode that matters and a look at what it is given."""

    structured = True

    def __init__(self, spec, num_outputs):
        super().__init__()
        self.out = torch.nn.Linear(5, num_outputs + 1)
        self.training_at_loss = None

    def forward(self, obs):
        out = self.out(torch.cat([obs["obs/goal"], obs["obs/place"]], dim=1))
        return out[:, :-1], out[:, -1]

    def extra_loss(self, batch):
        self.training_at_loss = self.training
        assert set(batch["inputs"]) == {"obs/goal", "obs/place"}
        return batch["rewards"].sum() * 0.0


PLACES = spaces.Dict({"goal": box(2), "place": box(3)})
IMAGES = spaces.Box(0, 255, (36, 36, 1), np.uint8)


@pytest.mark.parametrize(
    ("observation_space", "action_space", "keys"),
    [
        (box(3), DISCRETE, {"observation_filter": "mean_std"}),
        (box(3), spaces.MultiDiscrete([3, 2]), {}),
        (box(3), box(2), {"observation_filter": "mean_std"}),
        (box(3), spaces.Dict({"a": spaces.Discrete(2), "b": box(1)}), {"model": {"log_std": "state"}}),
        (PLACES, DISCRETE, {"observation_filter": "mean_std"}),
        (PLACES, DISCRETE, {"model": {"module": Structured}}),
        (PLACES, DISCRETE, {"model": {"module": Structured}, "observation_filter": "mean_std"}),
        (IMAGES, DISCRETE, {}),
        (spaces.Box(0, 1, (3, 3, 2), np.int8), DISCRETE, {"model": {"conv": [{"channels": 4, "kernel": 2}], "shared": False}}),
    ],
)
def test_the_first_minibatch_sees_the_policy_that_acted(observation_space, action_space, keys):
    """Ratio 1, hence KL 0 and nothing clipped: acting and learning agree on every log-probability, filters and masks included."""
    ppo = learner(spec(observation_space, action_space, **keys), normalize_values=True, minibatch_rows=16)
    policy = ppo.policies["p"]
    for version in range(3):
        batch = ppo.prepare(multi({"p": batch_of(policy, RNG(version), rows=32, version=version, masked=policy.action.mask_size > 0)}))
        found = ppo.compute_gradients(next(iter(ppo.minibatches(batch, RNG(0)))), "all")
        assert abs(float(found.metrics["kl"])) < 1e-6
        assert float(found.metrics["clip_fraction"]) == 0.0
        before = policy.get_weights()
        assert ppo.learn(batch).num_updates == 8
        assert not same(before, policy.get_weights())
    if isinstance(policy.net, Structured):
        assert policy.net.training_at_loss
        assert not policy.net.training


def test_gradients_of_one_policy_do_not_touch_another():
    ppo = learner(spec(box(3), DISCRETE, policy_id="a"), spec(box(3), DISCRETE, policy_id="b"))
    before = deepcopy(ppo.policies["b"].get_weights())
    ppo.learn(multi({"a": batch_of(ppo.policies["a"], RNG(0))}))
    assert same(before, ppo.policies["b"].get_weights())


def test_several_policies_learn_as_they_would_alone():
    """One learner with two policies makes of each what a learner of its own would, given the same order of rows."""
    both = learner(spec(box(3), DISCRETE, policy_id="a"), spec(box(3), DISCRETE, policy_id="b"), epochs=1, minibatch_rows=64)
    alone = learner(spec(box(3), DISCRETE, policy_id="b"), epochs=1, minibatch_rows=64)
    rows = batch_of(both.policies["b"], RNG(0))
    copy = SampleBatch(dict(rows.columns), rows.offsets, rows.pieces)
    result = both.learn(multi({"a": batch_of(both.policies["a"], RNG(1)), "b": rows}))
    alone.learn(multi({"b": copy}))
    for name, array in alone.policies["b"].get_weights().items():
        np.testing.assert_allclose(both.policies["b"].get_weights()[name], array, rtol=1e-4, atol=1e-6)
    assert {"a/policy_loss", "b/policy_loss"} <= set(result.metrics)


def test_extra_loss_of_ones_own_module():
    class Net(torch.nn.Module):
        def __init__(self, spec, num_outputs):
            super().__init__()
            self.out = torch.nn.Linear(3, num_outputs + 1)
            self.told = torch.nn.Parameter(torch.zeros(()))

        def forward(self, obs):
            out = self.out(obs)
            return out[:, :-1], out[:, -1]

        def extra_loss(self, batch):
            return (self.told - batch["rewards"].mean()) ** 2

    ppo = learner(spec(box(3), DISCRETE, model={"module": Net}), lr=0.05, epochs=60)
    rows = batch_of(ppo.policies["p"], RNG(0))
    result = ppo.learn(multi({"p": rows}))
    assert "extra_loss" in result.metrics
    assert ppo.policies["p"].net.told.item() == pytest.approx(rows["rewards"].mean(), abs=0.05)


# ------------------------------------------------------------------ minibatches and stopping


def test_every_row_is_seen_once_an_epoch():
    ppo = learner(spec(box(3), DISCRETE), epochs=3, minibatch_rows=20)
    rows = batch_of(ppo.policies["p"], RNG(0), rows=50)
    ppo.prepare(multi({"p": rows}))
    made = list(ppo.minibatches(multi({"p": rows}), RNG(0)))
    assert [len(one.rows["p"]["actions"]) for one in made] == [17, 17, 16] * 3
    for epoch in range(3):
        seen = torch.cat([one.rows["p"]["action_logp"] for one in made[3 * epoch : 3 * epoch + 3]])
        np.testing.assert_array_equal(np.sort(seen.numpy()), np.sort(rows["action_logp"]))


@pytest.mark.parametrize("count", [1, 4, 7, 12])
def test_the_loop_may_say_how_many_minibatches(count):
    ppo = learner(spec(box(3), DISCRETE), epochs=3)
    rows = batch_of(ppo.policies["p"], RNG(0), rows=50)
    ppo.prepare(multi({"p": rows}))
    assert len(list(ppo.minibatches(multi({"p": rows}), RNG(0), count=count))) == count


def test_no_rows_or_none_with_a_loss_change_nothing():
    ppo = learner(spec(box(3), DISCRETE))
    before = ppo.policies["p"].get_weights()
    assert ppo.learn(multi({})).num_updates == 0
    ppo.version = 9
    assert ppo.learn(multi({"p": batch_of(ppo.policies["p"], RNG(0), version=0)})).num_updates == 0
    assert same(before, ppo.policies["p"].get_weights())


def test_kl_stop_leaves_a_policy_alone():
    free = learner(spec(box(3), DISCRETE), lr=0.05, epochs=20, minibatch_rows=64)
    held = learner(spec(box(3), DISCRETE), lr=0.05, epochs=20, minibatch_rows=64, kl_stop=0.01)
    rows = batch_of(free.policies["p"], RNG(0))
    results = [one.learn(multi({"p": SampleBatch(dict(rows.columns), rows.offsets, rows.pieces)})) for one in (free, held)]
    assert results[0].num_updates == 20
    assert 0 < results[1].num_updates < 10


def test_kl_stop_is_each_policys_own():
    ppo = learner(spec(box(3), DISCRETE, policy_id="a"), spec(box(3), DISCRETE, policy_id="b"), kl_stop=0.01)
    assert not ppo.stop_early({"a/kl": 0.5, "b/kl": 0.001})
    before = ppo.policies["a"].get_weights()
    batch = ppo.prepare(multi({name: batch_of(ppo.policies[name], RNG(0)) for name in "ab"}))
    minibatch = next(iter(ppo.minibatches(batch, RNG(0))))  # a new train batch begins: all learn again
    assert not ppo.stop_early({"a/kl": 0.5, "b/kl": 0.001})
    gradients = ppo.compute_gradients(minibatch, "all")
    assert gradients.grads[0] is None
    ppo.apply_gradients(gradients, "all")
    assert same(before, ppo.policies["a"].get_weights())
    assert ppo.stop_early({"b/kl": 0.5})


def test_schedules_follow_the_run():
    ppo = learner(spec(box(3), DISCRETE), lr=[[0, 1.0], [100, 0.0]])
    ppo.set_counters(Counters(num_env_steps=100))
    before = ppo.policies["p"].get_weights()
    ppo.learn(multi({"p": batch_of(ppo.policies["p"], RNG(0))}))
    assert same(before, ppo.policies["p"].get_weights())


def test_gradients_that_are_no_numbers_name_the_policy():
    ppo = learner(spec(box(3), DISCRETE))
    rows = batch_of(ppo.policies["p"], RNG(0))
    rows["rewards"][3] = np.nan
    with pytest.raises(PolicyError, match="policy 'p' is nan in learning step 1"):
        ppo.learn(multi({"p": rows}))


# ------------------------------------------------------------------ normalised values


def test_rescaling_keeps_every_value():
    ppo = learner(spec(box(3), DISCRETE), normalize_values=True)
    policy = ppo.policies["p"]
    rows = batch_of(policy, RNG(0))
    rows["rewards"] = rows["rewards"] * 50 + 300
    before = policy.values(rows["obs"])
    ppo.prepare(multi({"p": rows}))
    assert float(policy.value_stats.mean) > 100
    np.testing.assert_allclose(policy.values(rows["obs"]), before, atol=2e-3)


# ------------------------------------------------------------------ state


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"optimizer": "torch.optim:SGD", "optimizer_options": {"momentum": 0.9}},
        {"optimizer": "torch.optim:AdamW"},
        {"normalize_values": True},
    ],
)
def test_a_learner_goes_on_to_the_bit(keys):
    made = spec(box(3), DISCRETE, observation_filter="mean_std")
    first, second = learner(made, seed=1, **keys), learner(made, seed=2, **keys)

    def go_on(ppo, start):
        for version in range(start, start + 2):
            ppo.learn(multi({"p": batch_of(ppo.policies["p"], RNG(version), version=version)}))

    go_on(first, 0)
    state = deepcopy(first.state_dict())
    second.load_state_dict(state)
    assert second.version == 2
    go_on(first, 2)
    go_on(second, 2)
    assert same(first.state_dict(), second.state_dict())
    assert not same(first.state_dict()["policies"], state["policies"])


def leaves_of(state):
    for key, value in state.items():
        assert isinstance(key, str)
        if isinstance(value, dict):
            yield from leaves_of(value)
        else:
            yield value


@pytest.mark.parametrize("optimizer", ["adam", "torch.optim:Adam"])
def test_the_state_is_plain_data(optimizer):
    ppo = learner(spec(box(3), DISCRETE), optimizer=optimizer)
    ppo.learn(multi({"p": batch_of(ppo.policies["p"], RNG(0))}))
    for leaf in leaves_of(ppo.state_dict()):
        assert isinstance(leaf, (np.ndarray, torch.Tensor, int, float, str, bool, type(None), list)), leaf


def test_same_seed_same_weights_to_the_bit():
    made = spec(box(3), DISCRETE)
    runs = []
    for _ in range(2):
        ppo = learner(made, seed=7)
        for version in range(2):
            ppo.learn(multi({"p": batch_of(ppo.policies["p"], RNG(version), version=version)}))
        runs.append(ppo.state_dict())
    assert same(*runs)
    assert not same(runs[0]["policies"], learner(made, seed=8).state_dict()["policies"])


def test_set_policy_weights_and_a_fresh_optimizer():
    ppo, other = learner(spec(box(3), DISCRETE)), learner(spec(box(3), DISCRETE), seed=9)
    ppo.learn(multi({"p": batch_of(ppo.policies["p"], RNG(0))}))
    assert ppo.state_dict()["policies"]["p"]["optimizer"]["steps"] == 16
    ppo.set_policy_weights("p", other.policies["p"].get_weights(), reset_optimizer=True)
    assert same(ppo.policies["p"].get_weights(), other.policies["p"].get_weights())
    assert ppo.state_dict()["policies"]["p"]["optimizer"]["steps"] == 0
    before = ppo.policies["p"].get_weights()
    ppo.learn(multi({"p": batch_of(ppo.policies["p"], RNG(0), version=1)}))
    assert not same(before, ppo.policies["p"].get_weights())


def test_workers_take_the_learners_weights():
    ppo = learner(spec(box(3), DISCRETE, observation_filter="mean_std"), normalize_values=True)
    worker = PPO.make_policy(ppo.specs["p"], seed=0)
    ppo.learn(multi({"p": batch_of(ppo.policies["p"], RNG(0))}))
    worker.set_weights(ppo.policies["p"].get_weights(), version=1)
    obs = RNG(1).normal(size=(5, 3)).astype(np.float32)
    left, right = act(worker, obs, RNG(2)), act(ppo.policies["p"], obs, RNG(2))
    np.testing.assert_array_equal(left[0], right[0])
    np.testing.assert_array_equal(left[1]["values"], right[1]["values"])


# ------------------------------------------------------------------ tools


def test_adam_is_torchs_adam():
    def net():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))

    ours, theirs = net(), net()
    flat = FlatParameters(ours)
    adam = make_optimizer(flat, "adam", {"betas": [0.8, 0.99], "eps": 1e-6})
    assert isinstance(adam, Adam)
    expected = torch.optim.Adam(theirs.parameters(), lr=1.0, betas=(0.8, 0.99), eps=1e-6)
    x = torch.randn(16, 3)
    for step in range(20):
        lr = 0.01 * (step + 1)
        flat.grads.zero_()
        ours(x).square().mean().backward()
        adam.step(lr)
        expected.zero_grad()
        theirs(x).square().mean().backward()
        expected.param_groups[0]["lr"] = lr
        expected.step()
    for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-7)


def test_clipping_is_of_the_whole_gradient():
    net = torch.nn.Linear(3, 1)
    flat = FlatParameters(net)
    net(torch.ones(1, 3) * 10).sum().backward()
    norm = flat.clip(0.5)
    assert norm == pytest.approx(np.sqrt(3 * 100 + 1))
    assert torch.linalg.vector_norm(torch.cat([p.grad.reshape(-1) for p in net.parameters()])).item() == pytest.approx(0.5, rel=1e-4)
    assert flat.clip(None) == pytest.approx(0.5, rel=1e-4)


def test_gradients_from_elsewhere_are_applied():
    """A loop may reduce gradients over ranks and hand back other tensors."""
    ppo = learner(spec(box(3), DISCRETE))
    size = len(ppo._learners["p"].flat.values)
    before = ppo._learners["p"].flat.values.clone()
    ppo.apply_gradients(Gradients([np.ones(size, np.float32)]), "all")
    assert (ppo._learners["p"].flat.values < before).all()


# ------------------------------------------------------------------ config


@pytest.mark.parametrize("model", [PPO.Config, PPO.PolicyConfig, PPO.PolicyConfig.model_fields["model"].annotation])
def test_every_key_is_documented(model):
    for name, field in model.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"lr": -1}, "≥ 0"),
        ({"gae_lambda": 1.5}, "less than or equal to 1"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"learning_rate": 1}, "Extra inputs"),
        ({"clip": [[5, 0.1], [1, 0.2]]}, "must rise"),
    ],
)
def test_wrong_keys_are_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        PPO.Config(**keys)


def test_unknown_optimizers_and_options_are_refused():
    with pytest.raises(ConfigError, match=r"optimizer: 'torch\.optim:Adm' cannot be loaded"):
        learner(spec(box(3), DISCRETE), optimizer="torch.optim:Adm")
    with pytest.raises(ConfigError, match="refuses"):
        learner(spec(box(3), DISCRETE), optimizer="torch.optim:SGD", optimizer_options={"betas": 1})
    with pytest.raises(ConfigError, match="adam has no momentum"):
        learner(spec(box(3), DISCRETE), optimizer_options={"momentum": 1})


def test_it_is_found_through_its_entry_point():
    from importlib.metadata import entry_points

    (found,) = [point for point in entry_points(group="marl.algorithms") if point.name == "ppo"]
    assert found.load() is PPO
    assert PPO.data(PPO.Config(train_batch_rows=7, complete_episodes=True)).train_batch_rows == 7


def test_minibatches_say_the_batchs_metrics_once():
    ppo = learner(spec(box(3), DISCRETE))
    rows = batch_of(ppo.policies["p"], RNG(0))
    ppo.prepare(multi({"p": rows}))
    made: list[PPOMinibatch] = list(ppo.minibatches(multi({"p": rows}), RNG(0)))
    assert made[0].metrics["num_masked_rows"] == 0.0
    assert all(not one.metrics for one in made[1:])


# ------------------------------------------------------------------ learning


def test_it_learns_a_contextual_bandit_with_masks():
    """The best of four arms stands in the observation and one arm is masked at random: all but always found in 40 steps."""
    ppo = learner(spec(box(4), DISCRETE), lr=0.003, epochs=4)
    policy, rng = ppo.policies["p"], RNG(0)
    for version in range(40):
        best = rng.integers(4, size=256)
        obs = np.eye(4, dtype=np.float32)[best]
        mask = rng.random((256, 4)) < 0.7
        mask[np.arange(256), best] = True
        actions, columns = act(policy, obs, rng, mask=mask)
        ones = np.ones(256, bool)
        table = {
            "obs": obs,
            "actions": actions,
            "rewards": (actions == best).astype(np.float32),
            "terminateds": ones,
            "truncateds": ~ones,
            "action_mask": mask,
            "weights_version": np.full(256, version),
            **columns,
        }
        pieces = {"bootstrap_obs": np.zeros((256, 4), np.float32), "bootstrap_valid": ones}
        ppo.learn(multi({"p": SampleBatch(table, np.arange(257, dtype=np.int64), pieces)}))
    obs = np.eye(4, dtype=np.float32)
    actions, columns = act(policy, obs, rng, explore=False)
    np.testing.assert_array_equal(actions, np.arange(4))
    assert (policy.action_distribution(obs)["probabilities"][0].max(axis=1) > 0.9).all()
    np.testing.assert_allclose(columns["values"], 1.0, atol=0.15)


def test_it_learns_real_actions():
    """The reward is −(a − x)²: the mean comes near x, the spread shrinks."""
    ppo = learner(spec(box(1), spaces.Box(-2, 2, (1,))), lr=0.003, epochs=6)
    policy, rng = ppo.policies["p"], RNG(0)
    for version in range(25):
        obs = rng.uniform(-1, 1, (256, 1)).astype(np.float32)
        actions, columns = act(policy, obs, rng)
        ones = np.ones(256, bool)
        rewards = -((actions - obs)[:, 0] ** 2)
        table = {"obs": obs, "actions": actions, "rewards": rewards, "terminateds": ones, "truncateds": ~ones}
        table |= {"weights_version": np.full(256, version), **columns}
        pieces = {"bootstrap_obs": np.zeros((256, 1), np.float32), "bootstrap_valid": ones}
        ppo.learn(multi({"p": SampleBatch(table, np.arange(257, dtype=np.int64), pieces)}))
    read = policy.action_distribution(np.array([[-0.8], [0.0], [0.8]], np.float32))
    np.testing.assert_allclose(read["mean"][:, 0], [-0.8, 0.0, 0.8], atol=0.2)
    assert (read["std"] < 0.4).all()


def test_the_guide_names_every_key_with_its_default():
    from pathlib import Path

    from marl.schedules import Schedule
    from marl_plugins.nets import ModelConfig

    guide = (Path(__file__).parents[2] / "docs" / "algorithms" / "ppo.md").read_text(encoding="utf-8")
    cells = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in guide.splitlines() if line.startswith("| `")}
    for model in (PPO.Config, PPO.PolicyConfig, ModelConfig):
        for name, default in model().__dict__.items():
            said = cells[f"`{name}`"]
            if isinstance(default, Schedule):
                assert float(said) == default.values[0], name
            elif isinstance(default, (bool, type(None))):
                assert said == {True: "true", False: "false", None: "null"}[default], name
            elif isinstance(default, (int, float)):
                assert float(said) == default, name
            elif isinstance(default, str):
                assert said == default, name


def test_a_gpu_that_is_not_there_is_a_wrong_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"device: found cuda:1, and torch sees no GPU here → device: auto or cpu"):
        resolve_device("cuda:1")
    assert resolve_device("auto").type == "cpu"
