"""Distributions over actions: what a network's outputs mean, for every action space.

An action is made of parts (:class:`marl.spaces.ActionCodec`): choices of n (a bit is a choice of 2) and real vectors. Parts
are independent given the observation, so log-probabilities and entropies add up. A network answers with ``[N, num_outputs]``:

    the logits of all choices, in the order of the action mask │ the means of all real numbers │ their log standard deviations

Sampling is numpy (a hot path with little arithmetic: a torch operation costs more than the work), learning is torch.
A masked choice has probability 0: it is never drawn and adds nothing to an entropy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marl.spaces import ActionCodec

MASKED = float(np.finfo(np.float32).min) / 2  # exp() of it is exactly 0, and subtracting a maximum does not overflow
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True)
class _Choices:
    """``count`` neighbouring parts of ``n`` choices each: logits ``[start, start + count·n)``, uniforms from ``first``."""

    start: int
    count: int
    n: int
    first: int
    columns: slice


class ActionDistribution:
    """The product distribution over the parts of one action space.

    Attributes:
        num_choices: logits, also the size of the action mask. ``num_reals``: real numbers.
        num_outputs: ``num_choices + 2 · num_reals``.
        num_uniforms: choices to be made, each by one uniform number.
    """

    def __init__(self, codec: ActionCodec) -> None:
        self.codec = codec
        self.num_choices = codec.mask_size
        self.blocks = _blocks(codec)
        self.num_uniforms = sum(block.count for block in self.blocks)
        self.real_columns = np.array([part.column + i for part in codec.parts if not part.n for i in range(part.size)], np.int64)
        self.num_reals = len(self.real_columns)
        self.num_outputs = self.num_choices + 2 * self.num_reals

    # -- acting: numpy

    def noise(self, count: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What ``count`` rows draw, row after row: uniforms ``[count, num_uniforms]``, then normals ``[count, num_reals]``."""
        uniforms = rng.random((count, self.num_uniforms), dtype=np.float32)
        if not self.num_reals:
            return uniforms, _NO_NORMALS
        return uniforms, rng.standard_normal((count, self.num_reals), dtype=np.float32)

    def choose(
        self,
        outputs: NDArray[np.float32],
        mask: NDArray[np.bool_] | None,
        noise: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Sample, or take the mode where ``noise`` is None.

        Args:
            outputs: ``[num_outputs, ...]``: what is summed over comes first, so that numpy adds whole rows of memory.
            mask: bool ``[..., num_choices]`` or None.
            noise: of :meth:`noise`, each ``[..., k]``.

        Returns:
            actions ``[..., *codec.shape]`` and their log-probabilities ``[...]``.
        """
        logits = outputs if not self.num_reals else outputs[: self.num_choices]
        if mask is not None:
            logits = np.where(_first(mask), logits, MASKED)
        if self.codec.discrete:
            return _choose(logits, None if noise is None else noise[0][..., 0])
        shape = outputs.shape[1:]
        actions = np.empty((*shape, *self.codec.shape), self.codec.dtype)
        logp = np.zeros(shape, np.float32)
        for block in self.blocks:
            scores = logits[block.start : block.start + block.count * block.n].reshape(block.count, block.n, *shape).swapaxes(0, 1)
            uniforms = None if noise is None else _first(noise[0][..., block.first : block.first + block.count])
            choice, block_logp = _choose(scores, uniforms)
            logp += np.add.reduce(block_logp, axis=0)
            actions[..., block.columns] = _last(choice)
        if self.num_reals:
            mean = outputs[self.num_choices : self.num_choices + self.num_reals]
            log_std = outputs[self.num_choices + self.num_reals :]
            surprise = log_std + _HALF_LOG_2PI
            if noise is not None:
                normals = _first(noise[1])
                mean = mean + np.exp(log_std) * normals
                surprise += 0.5 * normals * normals
            actions[..., self.real_columns] = _last(mean)
            logp -= np.add.reduce(surprise, axis=0)
        return actions, logp

    def parameters(self, outputs: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> dict[str, Any]:
        """From outputs ``[num_outputs, n]``: ``probabilities``, ``[n, choices]`` each; ``mean`` and ``std`` ``[n, num_reals]``."""
        logits = outputs[: self.num_choices]
        if mask is not None:
            logits = np.where(mask.T, logits, MASKED)
        probabilities = []
        for part in self.codec.parts:
            if part.n:
                scores = np.exp(logits[part.mask : part.mask + part.n] - logits[part.mask : part.mask + part.n].max(axis=0))
                probabilities.append((scores / scores.sum(axis=0)).T)
        reals = outputs[self.num_choices :].T
        return {"probabilities": probabilities, "mean": reals[:, : self.num_reals], "std": np.exp(reals[:, self.num_reals :])}

    # -- learning: torch

    def evaluate(self, outputs: Tensor, actions: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log-probability ``[N]`` of stored actions ``[N, *codec.shape]`` and entropy ``[N]``, under outputs ``[N, num_outputs]``."""
        count = len(actions)
        table = actions.reshape(count, -1).t()  # [parts, N]: sums over a few choices run along rows of memory, not across
        outputs = outputs.t()
        logits = outputs[: self.num_choices]
        if mask is not None:
            logits = torch.where(mask.t(), logits, MASKED)
        logp = entropy = torch.zeros((), device=outputs.device)
        for block in self.blocks:
            scores = logits[block.start : block.start + block.count * block.n].reshape(block.count, block.n, count)
            log_probs = torch.log_softmax(scores, dim=1)
            chosen = table[block.columns].to(torch.int64)
            logp = logp + log_probs.gather(1, chosen.unsqueeze(1)).sum((0, 1))
            entropy = entropy - (log_probs.exp() * log_probs).sum((0, 1))
        if self.num_reals:
            mean = outputs[self.num_choices : self.num_choices + self.num_reals]
            log_std = outputs[self.num_choices + self.num_reals :]
            normals = (table[self.real_columns] - mean) * torch.exp(-log_std)
            logp = logp - (log_std + 0.5 * normals * normals + _HALF_LOG_2PI).sum(0)
            entropy = entropy + (log_std + (_HALF_LOG_2PI + 0.5)).sum(0)
        return logp, entropy


_NO_NORMALS = np.zeros((0, 0), np.float32)


def _first(array: NDArray[Any]) -> NDArray[Any]:
    """The last axis moved to the front (a view)."""
    return array.T if array.ndim == 2 else np.moveaxis(array, -1, 0)


def _last(array: NDArray[Any]) -> NDArray[Any]:
    """The first axis moved to the end (a view)."""
    return array.T if array.ndim == 2 else np.moveaxis(array, 0, -1)


def _blocks(codec: ActionCodec) -> list[_Choices]:
    """Neighbouring choices of equal n as one block: their logits lie side by side, and so do their columns."""
    blocks: list[_Choices] = []
    first = 0
    for part in codec.parts:
        if not part.n:
            continue
        last = blocks[-1] if blocks else None
        if last is not None and last.n == part.n and last.columns.stop == part.column:
            blocks[-1] = _Choices(last.start, last.count + 1, last.n, last.first, slice(last.columns.start, part.column + 1))
        else:
            blocks.append(_Choices(part.mask, 1, part.n, first, slice(part.column, part.column + 1)))
        first += 1
    return blocks


def _choose(scores: NDArray[np.float32], uniforms: NDArray[np.float32] | None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Choices and log-probabilities ``[...]`` from logits ``[choices, ...]`` by inverse CDF, or the best where ``uniforms`` is None.

    A uniform is at most 1 − 2⁻²⁴, so ``uniform · total`` stays below the last cumulative sum: the choice found has a positive share.
    """
    scores = scores - np.maximum.reduce(scores, axis=0)
    cumulative = np.add.accumulate(np.exp(scores), axis=0)
    total = cumulative[-1]
    if uniforms is None:
        choice = scores.argmax(axis=0)
    else:
        choice = np.add.reduce(cumulative <= uniforms * total, axis=0)
    flat = choice.reshape(-1)
    picked = scores.reshape(len(scores), -1)[flat, np.arange(len(flat))].reshape(choice.shape)
    return choice, picked - np.log(total)
