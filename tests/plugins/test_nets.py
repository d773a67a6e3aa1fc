"""Networks: written gradients against autograd's, numpy against torch, and first weights that depend on the seed alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from pydantic import ValidationError
from rows import act, observations, spec

from marl.errors import ConfigError
from marl_plugins.actor_critic import ActorCriticPolicy
from marl_plugins.nets import ActorCritic, ConvLayer, ModelConfig, NumpyNet

F32 = np.dtype(np.float32)


def make(seed: int = 0, *, shape=(6,), choices: int = 4, reals: int = 0, **keys) -> ActorCritic:
    return ActorCritic(shape, F32, choices, reals, ModelConfig(**keys), seed)


def plain_forward(net: ActorCritic, x: torch.Tensor):
    """The same network by torch's own operations and autograd."""
    kinds = {"tanh": torch.tanh, "relu": torch.relu, "elu": torch.nn.functional.elu}

    def body(one, x):
        for layer in one.layers:
            x = kinds[net.activation](x @ layer.weight + layer.bias)
        return x

    features = body(net.policy_body, x)
    outputs = features @ net.policy_head.weight + net.policy_head.bias
    values = body(net.value_body, x) @ net.value_head.weight + net.value_head.bias
    return outputs, values.squeeze(1)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "relu", "elu"])
def test_written_gradients_are_autograds(activation, shared):
    net = make(hidden=(8, 7, 5), activation=activation, shared=shared).double()
    x = torch.randn(11, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()

    def gradients(forward):
        outputs, values = forward(x)
        loss = outputs.sin().sum() + values.square().sum()
        return loss.item(), torch.autograd.grad(loss, [x, *net.parameters()])

    def ours(x):  # forward() casts to float32; the check wants all digits
        from marl_plugins.nets import ACTIVATIONS, _DenseLayers

        def body(one):
            return _DenseLayers.apply(x, ACTIVATIONS[activation], *(p for layer in one.layers for p in (layer.weight, layer.bias)))

        return net.policy_head(body(net.policy_body)), net.value_head(body(net.value_body)).squeeze(1)

    loss, found = gradients(ours)
    expected_loss, expected = gradients(lambda x: plain_forward(net, x))
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    for left, right in zip(found, expected, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-12)


def test_forward_is_the_plain_network():
    net = make(hidden=(8, 8))
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    for left, right in zip(net(x), plain_forward(net, x), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "relu", "elu"])
@pytest.mark.parametrize("count", [1, 2, 64, 300])
def test_numpy_gives_what_torch_gives(activation, shared, count):
    net = make(choices=3, reals=2, activation=activation, shared=shared)
    x = np.random.default_rng(0).normal(size=(count, 6)).astype(np.float32)
    outputs, values = NumpyNet([net]).forward(x)
    with torch.no_grad():
        expected_outputs, expected_values = net(torch.from_numpy(x))
    np.testing.assert_allclose(outputs.T, expected_outputs, atol=1e-6)
    np.testing.assert_allclose(values, expected_values, atol=1e-6, rtol=1e-5)
    np.testing.assert_array_equal(NumpyNet([net]).values(x), values)


def test_numpy_reads_the_parameters_own_memory():
    net = make()
    numpy_net, x = NumpyNet([net]), np.ones((1, 6), np.float32)
    before = numpy_net.forward(x)[1].item()
    with torch.no_grad():
        net.value_head.bias.add_(1.0)
    assert numpy_net.forward(x)[1].item() == pytest.approx(before + 1.0)


def test_first_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = make(5).state_dict()
    torch.rand(3)
    again, other = make(5).state_dict(), make(6).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["policy_head.weight"], other["policy_head.weight"])
    torch.random.set_rng_state(state)
    ActorCritic((40, 40, 3), np.dtype(np.uint8), 4, 0, ModelConfig(), 0)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_weights_start_orthogonal_and_the_policy_all_but_uniform():
    net = make(hidden=(64, 64))
    weight = net.policy_body.layers[1].weight.detach()
    torch.testing.assert_close(weight.T @ weight, 2.0 * torch.eye(64), rtol=0, atol=1e-4)
    outputs, _ = net(torch.randn(100, 6, generator=torch.Generator().manual_seed(0)))
    assert outputs.abs().max() < 0.1


def test_log_std_free_and_of_the_observation():
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    free = make(choices=0, reals=2, initial_log_std=-0.5)
    assert torch.equal(free(x)[0][:, 2:], torch.full((5, 2), -0.5))
    assert "log_std" in free.state_dict()
    state = make(choices=0, reals=2, log_std="state", initial_log_std=-0.5)
    assert "log_std" not in state.state_dict()
    spread = state(x)[0][:, 2:]
    assert (spread - -0.5).abs().max() < 0.1
    assert not torch.equal(spread[0], spread[1])


@pytest.mark.parametrize(
    ("observation_space", "conv"),
    [
        (spaces.Box(0, 255, (40, 44, 3), np.uint8), None),
        (spaces.Box(0, 1, (3, 3, 2), np.int8), [ConvLayer(channels=8, kernel=3, padding=1), ConvLayer(channels=8, kernel=3)]),
        (spaces.Box(0, 1, (6, 7, 2), np.int8), [{"channels": 8, "kernel": 4}]),
    ],
)
def test_images_and_boards_go_through_convolutions(observation_space, conv):
    policy = ActorCriticPolicy(spec(observation_space, spaces.Discrete(3), model={"conv": conv, "hidden": [16]}), seed=0)
    assert len(policy.net.policy_body.conv) == (3 if conv is None else len(conv))
    assert policy.net.value_body is policy.net.policy_body
    rng = np.random.default_rng(0)
    obs = observations(policy, 4, rng)["obs"]
    actions, columns = act(policy, obs, rng)
    assert actions.shape == (4,)
    x = torch.from_numpy(obs)
    scaled = x.float() / 255 if obs.dtype == np.uint8 else x.float()
    body = policy.net.policy_body
    x = scaled.permute(0, 3, 1, 2)
    for layer in body.conv:
        x = torch.relu(torch.nn.functional.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding))
    dense = body.layers[0]
    x = torch.tanh(x.flatten(1) @ dense.weight + dense.bias)
    expected = (x @ policy.net.value_head.weight + policy.net.value_head.bias).squeeze(1).detach()
    np.testing.assert_allclose(columns["values"], expected, rtol=1e-4, atol=1e-5)


def test_convolutions_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="leaves nothing"):
        ActorCritic((3, 3, 2), F32, 4, 0, ModelConfig(conv=({"channels": 8, "kernel": 4},)), 0)
    with pytest.raises(ConfigError, match=r"\[height, width, channels\]"):
        make(conv=({"channels": 8, "kernel": 1},))


def test_widths_are_at_least_one():
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        ModelConfig(hidden=(64, 0))


def test_a_byte_board_is_no_image():
    policy = ActorCriticPolicy(spec(spaces.Box(0, 255, (3, 3, 2), np.uint8), spaces.Discrete(3)), seed=0)
    assert not len(policy.net.policy_body.conv)
    obs = np.full((1, 3, 3, 2), 255, np.uint8)
    expected = policy.net(torch.from_numpy(obs))[1].item()
    assert act(policy, obs, np.random.default_rng(0))[1]["values"].item() == pytest.approx(expected, abs=1e-6)
    assert expected == pytest.approx(policy.net(torch.ones(1, 3, 3, 2))[1].item(), abs=1e-6)
