"""Distributions against closed forms, in numpy and torch, and what masks promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces

from marl.spaces import ActionCodec
from marl_plugins.distributions import ActionDistribution

SPACES = {
    "discrete": spaces.Discrete(5),
    "discrete from 3": spaces.Discrete(4, start=3),
    "one choice": spaces.Discrete(1),
    "multi_discrete": spaces.MultiDiscrete([3, 3, 2, 4]),
    "multi_binary": spaces.MultiBinary(4),
    "box": spaces.Box(-1, 1, (3,)),
    "box of no axis": spaces.Box(-2, 2, ()),
    "dict": spaces.Dict({"go": spaces.Discrete(3), "push": spaces.Box(-1, 1, (2,)), "say": spaces.MultiDiscrete([3, 2])}),
    "tuple": spaces.Tuple((spaces.Discrete(2), spaces.Tuple((spaces.Discrete(2), spaces.MultiBinary(2))))),
}


def masks_for(codec: ActionCodec, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random masks with at least one legal choice in each part."""
    mask = rng.random((count, codec.mask_size)) < 0.5
    for part in codec.parts:
        if part.n:
            mask[np.arange(count), part.mask + rng.integers(part.n, size=count)] = True
    return mask


def slow_logp(codec: ActionCodec, outputs: np.ndarray, action: np.ndarray, mask: np.ndarray | None) -> float:
    """log π of one action, part after part, in float64."""
    outputs, total, real = outputs.astype(np.float64), 0.0, 0
    reals = sum(part.size for part in codec.parts if not part.n)
    row = np.atleast_1d(action)
    for part in codec.parts:
        if part.n:
            legal = [i for i in range(part.n) if mask is None or mask[part.mask + i]]
            weights = {i: math.exp(outputs[part.mask + i]) for i in legal}
            total += math.log(weights[int(row[part.column])] / sum(weights.values()))
        else:
            for i in range(part.size):
                mean, log_std = outputs[codec.mask_size + real], outputs[codec.mask_size + reals + real]
                z = (float(row[part.column + i]) - mean) / math.exp(log_std)
                total -= 0.5 * z * z + log_std + 0.5 * math.log(2 * math.pi)
                real += 1
    return total


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", SPACES)
def test_log_probabilities_are_the_closed_form_in_numpy_and_torch(name, masked):
    codec, rng = ActionCodec(SPACES[name]), np.random.default_rng(0)
    distribution = ActionDistribution(codec)
    outputs = rng.normal(size=(40, distribution.num_outputs)).astype(np.float32)
    mask = masks_for(codec, 40, rng) if masked and codec.mask_size else None
    actions, logp = distribution.choose(outputs.T, mask, distribution.noise(40, rng))
    assert actions.shape == (40, *codec.shape)
    assert actions.dtype == codec.dtype
    expected = [slow_logp(codec, outputs[i], actions[i], None if mask is None else mask[i]) for i in range(40)]
    np.testing.assert_allclose(logp, expected, rtol=1e-5, atol=1e-5)
    again, entropy = distribution.evaluate(
        torch.from_numpy(outputs), torch.from_numpy(actions), None if mask is None else torch.from_numpy(mask)
    )
    np.testing.assert_allclose(again.numpy(), expected, rtol=1e-5, atol=1e-5)
    assert entropy.shape == (40,)


@pytest.mark.parametrize("name", SPACES)
def test_stored_actions_are_played(name):
    codec, rng = ActionCodec(SPACES[name]), np.random.default_rng(0)
    distribution = ActionDistribution(codec)
    outputs = rng.normal(size=(distribution.num_outputs, 20)).astype(np.float32)
    for noise in (distribution.noise(20, rng), None):
        for action in codec.to_env(distribution.choose(outputs, None, noise)[0]):
            assert action in codec.space


def test_frequencies_are_the_probabilities():
    distribution = ActionDistribution(ActionCodec(spaces.Discrete(4)))
    logits = np.log(np.array([0.1, 0.2, 0.3, 0.4], np.float32))
    count = 200_000
    actions, _ = distribution.choose(np.repeat(logits[:, None], count, 1), None, distribution.noise(count, np.random.default_rng(0)))
    np.testing.assert_allclose(np.bincount(actions, minlength=4) / count, [0.1, 0.2, 0.3, 0.4], atol=0.004)


def test_moments_of_real_actions():
    distribution = ActionDistribution(ActionCodec(spaces.Box(-9, 9, (2,))))
    outputs = np.array([1.0, -2.0, math.log(0.5), math.log(2.0)], np.float32)
    count = 200_000
    actions, _ = distribution.choose(np.repeat(outputs[:, None], count, 1), None, distribution.noise(count, np.random.default_rng(0)))
    np.testing.assert_allclose(actions.mean(0), [1.0, -2.0], atol=0.02)
    np.testing.assert_allclose(actions.std(0), [0.5, 2.0], rtol=0.01)


@pytest.mark.parametrize("space", [spaces.Discrete(6), spaces.MultiDiscrete([3, 2, 4]), SPACES["tuple"]])
def test_a_masked_action_is_never_chosen(space):
    """Neither sampled nor greedy, not even where the network all but insists on it, nor for the extreme uniform numbers."""
    codec, rng = ActionCodec(space), np.random.default_rng(1)
    distribution = ActionDistribution(codec)
    mask = masks_for(codec, 2000, rng)
    outputs = np.where(mask, -40.0, 60.0).astype(np.float32).T + rng.normal(size=(distribution.num_outputs, 2000)).astype(np.float32)
    uniforms, normals = distribution.noise(2000, rng)
    for draw in (uniforms, np.zeros_like(uniforms), np.full_like(uniforms, 1 - 2.0**-24), None):
        actions, logp = distribution.choose(outputs, mask, None if draw is None else (draw, normals))
        assert codec.allowed(actions, mask).all()
        assert np.isfinite(logp).all()


def test_a_masked_choice_adds_nothing_to_entropy_and_gets_no_gradient():
    distribution = ActionDistribution(ActionCodec(spaces.Discrete(4)))
    logits = torch.tensor([[0.3, 5.0, -0.2, 1.0]], requires_grad=True)
    mask = torch.tensor([[True, False, True, True]])
    logp, entropy = distribution.evaluate(logits, torch.tensor([2]), mask)
    p = np.exp([0.3, -0.2, 1.0]) / np.exp([0.3, -0.2, 1.0]).sum()
    assert entropy.item() == pytest.approx(-(p * np.log(p)).sum(), rel=1e-5)
    assert logp.item() == pytest.approx(np.log(p[1]), rel=1e-5)
    (logp.sum() + entropy.sum()).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 1] == 0.0


def test_a_row_with_one_legal_choice_is_certain_and_has_no_nan():
    distribution = ActionDistribution(ActionCodec(spaces.Discrete(3)))
    logits = torch.tensor([[50.0, -50.0, 0.0]], requires_grad=True)
    logp, entropy = distribution.evaluate(logits, torch.tensor([1]), torch.tensor([[False, True, False]]))
    (logp.sum() + entropy.sum()).backward()
    assert logp.item() == entropy.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros(1, 3))


@pytest.mark.parametrize("name", SPACES)
def test_entropy_is_the_closed_form(name):
    codec, rng = ActionCodec(SPACES[name]), np.random.default_rng(2)
    distribution = ActionDistribution(codec)
    outputs = rng.normal(size=(7, distribution.num_outputs)).astype(np.float32)
    actions, _ = distribution.choose(outputs.T, None, None)
    _, entropy = distribution.evaluate(torch.from_numpy(outputs), torch.from_numpy(actions), None)
    read = distribution.parameters(outputs.T, None)
    expected = sum(-(p * np.log(p)).sum(axis=1) for p in read["probabilities"])
    expected = expected + (np.log(read["std"]) + 0.5 * math.log(2 * math.pi * math.e)).sum(axis=1)
    np.testing.assert_allclose(entropy.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_one_uniform_a_choice_row_after_row():
    """The first rows of a larger draw are the draw of fewer rows: what a policy draws does not depend on who else is there."""
    distribution = ActionDistribution(ActionCodec(SPACES["multi_discrete"]))
    few = distribution.noise(3, np.random.default_rng(5))
    many = distribution.noise(9, np.random.default_rng(5))
    assert few[0].shape == (3, 4)
    np.testing.assert_array_equal(many[0][:3], few[0])


def test_greedy_is_the_mode():
    distribution = ActionDistribution(ActionCodec(SPACES["dict"]))
    outputs = np.array([0, 2, 1, 0, 3, 1, 5, 4, 0.7, -0.7, 0.1, 0.2], np.float32)[:, None]
    actions, _ = distribution.choose(outputs, None, None)
    # Dict keys in the space's order: go (3 choices), push (2 reals), say (3 and 2 choices)
    np.testing.assert_allclose(actions[0], [1, 0.7, -0.7, 1, 0], rtol=1e-6)
