"""Networks: dense and convolutional actor-critics from a config, and the same dense ones on numpy, for acting.

Dense weights are stored ``[in, out]``, so that torch and numpy multiply by them as they lie in memory and share them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from marl.algorithm import PluginConfig
from marl.errors import ConfigError, Problem
from marl_plugins.cpu_threads import use_one_blas_thread
from marl_plugins.torch_tools import load_symbol

_IMAGE_PIXELS = 36  # an observation of bytes at least this high and wide is taken for an image
_ROWS_AT_ONCE = 128  # more rows at once leave the cache, and OpenBLAS would start threads of its own


class ConvLayer(PluginConfig):
    """One convolution, followed by the model's activation (relu)."""

    channels: int = Field(ge=1, description="output channels")
    kernel: int = Field(ge=1, description="height and width of the window, pixels")
    stride: int = Field(default=1, ge=1, description="pixels between windows")
    padding: int = Field(default=0, ge=0, description="zeros around the image, pixels")


NATURE_CONV = (ConvLayer(channels=32, kernel=8, stride=4), ConvLayer(channels=64, kernel=4, stride=2), ConvLayer(channels=64, kernel=3))


class ModelConfig(PluginConfig):
    """The network of one actor-critic policy."""

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(64, 64), description="widths of the dense layers (after the convolutions, if any); each ≥ 1"
    )
    activation: Literal["tanh", "relu", "elu"] = Field(default="tanh", description="between dense layers; convolutions use relu")
    shared: bool | None = Field(
        default=None, description="one body for policy and value; null: shared with convolutions, separate without (the field's custom)"
    )
    conv: tuple[ConvLayer, ...] | None = Field(
        default=None,
        description="convolutions over [height, width, channels]; null: the Nature network for byte images of 36×36 and more, else none",
    )
    log_std: Literal["free", "state"] = Field(
        default="free", description="log standard deviation of real actions: free parameters, or a function of the observation"
    )
    initial_log_std: float = Field(default=0.0, ge=-10.0, le=2.0, description="its value at the start (log of the action's unit)")
    module: Any = Field(
        default=None,
        description="an nn.Module class of your own, or 'module:Class', called with (spec, num_outputs, **module_options); null: the above",
    )
    module_options: Mapping[str, Any] = Field(default_factory=dict, description="keyword arguments of your module")

    def module_class(self) -> Any:
        """The user's class, or None."""
        return load_symbol(self.module, "model.module") if isinstance(self.module, str) else self.module


# ------------------------------------------------------------------ activations


@dataclass(frozen=True)
class Activation:
    """One activation three ways: in place on numpy, in place on torch, and g · f'(x) from g and y = f(x)."""

    on_numpy: Callable[..., Any]  # (x, out=x)
    on_torch: Callable[[Tensor], Any]
    gradient: Callable[[Tensor, Tensor], Tensor]


def _elu_on_numpy(x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    np.copyto(out, np.expm1(x), where=x < 0.0)


ACTIVATIONS = {
    "tanh": Activation(np.tanh, torch.tanh_, torch.ops.aten.tanh_backward),
    "relu": Activation(lambda x, out: np.maximum(x, 0.0, out=out), torch.relu_, lambda g, y: g * (y > 0.0)),
    "elu": Activation(_elu_on_numpy, nn.functional.elu_, lambda g, y: g * torch.where(y > 0.0, 1.0, y + 1.0)),
}


class _DenseLayers(torch.autograd.Function):
    """y = f(… f(x W₁ + b₁) …), with its gradients written down: a third less time than autograd's (docs/algorithms/ppo.md).

    On the CPU the activation is numpy's, on the tensor's own memory: its tanh is several times faster than torch's.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, activation: Activation, *parameters: Tensor) -> Tensor:  # type: ignore[override]
        weights, biases = parameters[::2], parameters[1::2]
        outputs = [x]  # [N, width] of every layer
        for weight, bias in zip(weights, biases, strict=True):
            y = torch.addmm(bias, outputs[-1], weight)
            if y.device.type == "cpu":
                activation.on_numpy(y.numpy(), out=y.numpy())
            else:
                activation.on_torch(y)
            outputs.append(y)
        ctx.activation = activation
        ctx.save_for_backward(*weights, *outputs)
        return outputs[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        depth = len(ctx.saved_tensors) // 2
        weights, outputs = ctx.saved_tensors[:depth], ctx.saved_tensors[depth:]
        found: list[Tensor] = []
        for layer in reversed(range(depth)):
            grad = ctx.activation.gradient(grad, outputs[layer + 1])
            found += [grad.sum(0), outputs[layer].t() @ grad]
            if layer or ctx.needs_input_grad[0]:
                grad = grad @ weights[layer].t()
        return grad if ctx.needs_input_grad[0] else None, None, *reversed(found)


# ------------------------------------------------------------------ torch


class Dense(nn.Module):
    """The parameters of x W + b, W ``[in, out]``, orthogonal at the start (Saxe et al. 2014) with ``gain``."""

    def __init__(self, num_in: int, num_out: int, gain: float, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(num_in, num_out), gain, generator))
        self.bias = nn.Parameter(torch.zeros(num_out))

    def forward(self, x: Tensor) -> Tensor:
        """For a head: ``[N, in]`` to ``[N, out]``, computed and stored as ``[out, N]``: so few columns cost a quarter that way."""
        return torch.addmm(self.bias.unsqueeze(1), self.weight.t(), x.t()).t()


class Body(nn.Module):
    """From an observation ``[N, *shape]`` to features ``[N, width]``: convolutions if any, then dense layers, all activated."""

    def __init__(self, shape: tuple[int, ...], config: ModelConfig, conv: Sequence[ConvLayer], generator: torch.Generator) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        self.conv = nn.ModuleList()
        width = int(np.prod(shape))
        if conv:
            channels, size = shape[2], shape[:2]
            for layer in conv:
                # Without a weight of its own until the orthogonal one: its default initialisation draws from torch's global generator.
                made = nn.Conv2d(channels, layer.channels, layer.kernel, layer.stride, layer.padding, device="meta").to_empty(device="cpu")
                nn.init.orthogonal_(made.weight, 2.0**0.5, generator)
                nn.init.zeros_(made.bias)  # type: ignore[arg-type]
                self.conv.append(made)
                channels, size = layer.channels, tuple((side + 2 * layer.padding - layer.kernel) // layer.stride + 1 for side in size)
                if min(size) < 1:
                    raise ConfigError(
                        [Problem("model.conv", f"{layer} leaves nothing of an observation {shape}", "smaller kernels or padding")]
                    )
            width = channels * size[0] * size[1]
        self.layers = nn.ModuleList()
        for hidden in config.hidden:
            self.layers.append(Dense(width, hidden, 2.0**0.5, generator))
            width = hidden
        self.width = width

    def forward(self, obs: Tensor) -> Tensor:
        x = obs.float() / 255.0 if obs.dtype == torch.uint8 else obs.float()
        if len(self.conv):
            x = x.permute(0, 3, 1, 2)
            for layer in self.conv:
                x = torch.relu(layer(x))
        x = x.reshape(len(x), -1)
        return _DenseLayers.apply(x, self.activation, *(one for layer in self.layers for one in (layer.weight, layer.bias)))


class ActorCritic(nn.Module):
    """Observations ``[N, *shape]`` to the distribution's outputs ``[N, num_choices + 2 · num_reals]`` and values ``[N]``."""

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], num_choices: int, num_reals: int, config: ModelConfig, seed: int
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        conv = config.conv
        if conv is None:
            conv = NATURE_CONV if dtype == np.uint8 and len(shape) == 3 and min(shape[:2]) >= _IMAGE_PIXELS else ()
        if conv and len(shape) != 3:
            raise ConfigError([Problem("model.conv", f"observations have shape {shape}", "[height, width, channels] for convolutions")])
        shared = bool(conv) if config.shared is None else config.shared
        self.activation = config.activation
        self.free_log_std = num_reals > 0 and config.log_std == "free"
        num_heads = num_choices + num_reals * (1 if self.free_log_std else 2)
        self.policy_body = Body(shape, config, conv, generator)
        self.policy_head = Dense(self.policy_body.width, num_heads, 0.01, generator)
        self.value_body = self.policy_body if shared else Body(shape, config, conv, generator)
        self.value_head = Dense(self.value_body.width, 1, 1.0, generator)
        if self.free_log_std:
            self.log_std = nn.Parameter(torch.full((num_reals,), config.initial_log_std))
        elif num_reals:
            with torch.no_grad():
                self.policy_head.bias[-num_reals:] = config.initial_log_std

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        features = self.policy_body(obs)
        outputs = self.policy_head(features)
        if self.free_log_std:
            outputs = torch.cat([outputs.t(), self.log_std.unsqueeze(1).expand(-1, len(outputs))]).t()
        values = self.value_head(features if self.value_body is self.policy_body else self.value_body(obs))
        return outputs, values.squeeze(1)

    @torch.no_grad()
    def rescale_values(self, old_mean: float, old_std: float, new_mean: float, new_std: float) -> None:
        """Keep every value as it is in the rewards' unit when the unit of the head changes (PopArt, van Hasselt et al. 2016, eq. 3)."""
        self.value_head.weight.mul_(old_std / new_std)
        self.value_head.bias.mul_(old_std).add_(old_mean - new_mean).div_(new_std)


# ------------------------------------------------------------------ numpy


class NumpyNet:
    """Dense :class:`ActorCritic` networks on numpy, for acting: no autograd, no dispatch, and one pass for several of equal shape.

    For one network its weights are the parameters' own memory, always current. For K of them they are copies, read by
    :meth:`refresh`, and every array has K as an axis.
    """

    def __init__(self, nets: Sequence[ActorCritic]) -> None:
        use_one_blas_thread()
        self.nets = nets
        self.shared = nets[0].value_body is nets[0].policy_body
        self.activation = ACTIVATIONS[nets[0].activation].on_numpy
        self.refresh()

    @staticmethod
    def fits(net: nn.Module) -> bool:
        """Whether ``net`` is one that this class can run."""
        return isinstance(net, ActorCritic) and not len(net.policy_body.conv) and all(p.device.type == "cpu" for p in net.parameters())

    def refresh(self) -> None:
        """Read the weights again (K > 1)."""
        self.policy_layers = self._layers([net.policy_body.layers for net in self.nets])
        self.policy_head = self._head([net.policy_head for net in self.nets])
        self.value_layers = self._layers([net.value_body.layers for net in self.nets])
        self.value_head = self._head([net.value_head for net in self.nets])
        self.log_std = self._array([net.log_std for net in self.nets]) if self.nets[0].free_log_std else None

    def _array(self, tensors: list[Any]) -> NDArray[np.float32]:
        arrays = [tensor.detach().numpy() for tensor in tensors]
        return arrays[0] if len(arrays) == 1 else np.stack(arrays)

    def _layers(self, layers: list[Any]) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        return [
            (self._array([one.weight for one in layer]), self._array([one.bias for one in layer])[..., None, :])
            for layer in zip(*layers, strict=True)
        ]

    def _head(self, heads: list[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        weight, bias = self._array([head.weight for head in heads]), self._array([head.bias for head in heads])
        return weight.swapaxes(-1, -2), bias[..., None]

    def forward(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """``x`` ``[n, inputs]`` to outputs ``[num_outputs, n]`` and values ``[n]``; with K networks each has K before n."""
        rows = x.shape[-2]
        if rows <= _ROWS_AT_ONCE:
            return self._forward(x)
        blocks = [self._forward(x[..., start : start + _ROWS_AT_ONCE, :]) for start in range(0, rows, _ROWS_AT_ONCE)]
        return np.concatenate([block[0] for block in blocks], axis=-1), np.concatenate([block[1] for block in blocks], axis=-1)

    def values(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """``x`` ``[n, inputs]`` to values ``[n]``."""
        blocks = []
        for start in range(0, len(x), _ROWS_AT_ONCE):
            blocks.append(self._apply(self.value_head, self._body(self.value_layers, x[start : start + _ROWS_AT_ONCE]))[0])
        return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)

    def _forward(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        features = self._body(self.policy_layers, x)
        outputs = self._apply(self.policy_head, features)
        values = self._apply(self.value_head, features if self.shared else self._body(self.value_layers, x))
        if outputs.ndim == 3:
            outputs = outputs.swapaxes(0, 1)
        if self.log_std is not None:
            log_std = np.broadcast_to(self.log_std.T[..., None], (self.log_std.shape[-1], *outputs.shape[1:]))
            outputs = np.concatenate([outputs, log_std])
        return outputs, values[..., 0, :]

    def _body(self, layers: list[tuple[NDArray[np.float32], NDArray[np.float32]]], x: NDArray[np.float32]) -> NDArray[np.float32]:
        for weight, bias in layers:
            x = np.matmul(x, weight)
            x += bias
            self.activation(x, out=x)
        return x

    @staticmethod
    def _apply(head: tuple[NDArray[np.float32], NDArray[np.float32]], x: NDArray[np.float32]) -> NDArray[np.float32]:
        """A head's answer, transposed: ``[..., out, n]``."""
        weight, bias = head
        out = np.matmul(weight, x.swapaxes(-1, -2))
        out += bias
        return out
