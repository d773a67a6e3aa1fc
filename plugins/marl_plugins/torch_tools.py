"""What torch learners share: one flat parameter, Adam, devices, and the user's own classes by name."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from marl.errors import ConfigError, Problem


def load_symbol(name: str, where: str) -> Any:
    """What ``module:Class`` names; ``where`` is the config key, for the message.

    Raises:
        ConfigError: no such module or name.
    """
    module_name, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError([Problem(where, f"{name!r} cannot be loaded ({error})", "an importable 'module:Class'")]) from error
    return found


def resolve_device(device: str) -> torch.device:
    """``cpu``, ``cuda:n``, or ``auto``: the first GPU where there is one."""
    if device == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError([Problem("device", f"found {device}, and torch sees no GPU here", "device: auto or cpu (so too worker_device)")])
    return torch.device(device)


class FlatParameters:
    """All parameters of a module in one vector: what is done to every parameter becomes one operation.

    The module's parameters become views of ``values``, their gradients views of ``grads``, both ``[num_parameters]``.
    """

    def __init__(self, module: nn.Module) -> None:
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        wrong = {str(parameter.dtype) for parameter in parameters} - {"torch.float32"}
        if wrong or not parameters:
            found = f"parameters of {', '.join(sorted(wrong))}" if wrong else "no trainable parameter"
            raise ConfigError([Problem("model.module", f"{type(module).__name__} has {found}", "trainable float32 parameters")])
        self.parameters = parameters
        self.values = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
        self.grads = torch.zeros_like(self.values)
        start = 0
        for parameter in parameters:
            stop = start + parameter.numel()
            parameter.data = self.values[start:stop].view(parameter.shape)
            parameter.grad = self.grads[start:stop].view(parameter.shape)
            start = stop

    def clip(self, max_norm: float | None) -> float:
        """Scale ``grads`` to a norm of at most ``max_norm``; returns the norm before."""
        norm = float(torch.linalg.vector_norm(self.grads))
        if max_norm is not None and norm > max_norm:
            self.grads.mul_(max_norm / norm)
        return norm


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1) on one flat vector.

    Our own because the first ``torch.optim`` optimizer of a process imports about a second of torch's compiler, and because
    one vector makes a step of seven operations instead of several for every layer. Equal to ``torch.optim.Adam`` in a test.
    """

    def __init__(self, flat: FlatParameters, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        self.flat = flat
        self.betas = betas
        self.eps = eps
        self.steps = 0
        self.mean = torch.zeros_like(flat.values)
        self.square = torch.zeros_like(flat.values)

    @torch.no_grad()
    def step(self, lr: float) -> None:
        beta1, beta2 = self.betas
        grads = self.flat.grads
        self.steps += 1
        self.mean.lerp_(grads, 1.0 - beta1)
        self.square.mul_(beta2).addcmul_(grads, grads, value=1.0 - beta2)
        root = self.square.sqrt().div_(math.sqrt(1.0 - beta2**self.steps)).add_(self.eps)
        self.flat.values.addcdiv_(self.mean, root, value=-lr / (1.0 - beta1**self.steps))

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "mean": self.mean.clone(), "square": self.square.clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps = int(state["steps"])
        self.mean.copy_(torch.as_tensor(state["mean"]))
        self.square.copy_(torch.as_tensor(state["square"]))


class NamedOptimizer:
    """A user's ``torch.optim`` class in the same form as :class:`Adam`: the learner's schedule sets its learning rate."""

    def __init__(self, flat: FlatParameters, name: str, options: Mapping[str, Any]) -> None:
        try:
            self.inner = load_symbol(name, "optimizer")(flat.parameters, **options)
        except (TypeError, ValueError) as error:
            raise ConfigError([Problem("optimizer_options", f"{name} refuses {dict(options)!r} ({error})", "options it takes")]) from error

    def step(self, lr: float) -> None:
        for group in self.inner.param_groups:
            group["lr"] = lr
        self.inner.step()

    def state_dict(self) -> dict[str, Any]:
        state = self.inner.state_dict()
        return {
            "state": {str(key): dict(value) for key, value in state["state"].items()},
            "param_groups": {
                str(index): {key: list(value) if isinstance(value, tuple) else value for key, value in group.items()}
                for index, group in enumerate(state["param_groups"])
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        ours = self.inner.state_dict()["param_groups"]
        groups = []
        for index, own in enumerate(ours):
            saved = state["param_groups"][str(index)]
            groups.append({key: tuple(saved[key]) if isinstance(value, tuple) else saved[key] for key, value in own.items()})
        slots = {int(key): {name: _as_tensor(one) for name, one in value.items()} for key, value in state["state"].items()}
        self.inner.load_state_dict({"state": slots, "param_groups": groups})


def _as_tensor(value: Any) -> Any:
    return value if isinstance(value, (Tensor, int, float, str, bool, type(None))) else torch.as_tensor(value)


Optimizer = Adam | NamedOptimizer


def make_optimizer(flat: FlatParameters, name: str, options: Mapping[str, Any]) -> Optimizer:
    """``adam`` (our own; options ``betas``, ``eps``), or any ``module:Class`` with the interface of ``torch.optim``."""
    if name != "adam":
        return NamedOptimizer(flat, name, options)
    unknown = set(options) - {"betas", "eps"}
    if unknown:
        raise ConfigError([Problem("optimizer_options", f"adam has no {', '.join(sorted(unknown))}", "betas and eps")])
    beta1, beta2 = options.get("betas", (0.9, 0.999))
    return Adam(flat, betas=(float(beta1), float(beta2)), eps=float(options.get("eps", 1e-8)))


def to_tensor(array: Any, device: torch.device) -> Tensor:
    """A numpy array (or tensor) on ``device``; on the CPU it shares the array's memory."""
    tensor = array if isinstance(array, Tensor) else torch.from_numpy(array if array.flags.writeable else array.copy())
    return tensor.to(device)
