"""Targets for learning, as pure array functions over the rows of a batch.

Rows stand life after life, in order, and ``offsets`` bounds the pieces (:mod:`marl.batch`): piece ``p`` is rows
``offsets[p]:offsets[p + 1]``. Every function works on numpy arrays and torch tensors alike (array API) and on all
pieces at once. The words:

* ``rewards[t]``: what row t earned, R. With a discount per tick this is ``rewards_discounted`` (Σ γⁱ rᵢ inside the row).
* ``discounts[t]``: what the successor's value is worth, γᵏ with k the row's ticks, or γ where discounts count decisions
  (:func:`row_discounts`). λ counts decisions, γ counts ticks.
* ``values[t]``: V of the row's own observation. ``bootstrap_values[p]``: V of what follows piece p's last row: its next
  observation where the piece was cut, the true final observation where the life was truncated. Ignored after a termination.
* The exact semi-Markov one-step target is R + γᵏ (1 − terminated) V(next) (Sutton, Precup and Singh 1999, section 3).

Where ``bootstrap_valid[p]`` is false (a truncation without an observation) nothing is known beyond the last row: its
target is its own value (so its advantage is 0; mask its loss), and earlier rows bootstrap from that value.

All recurrences here have the form y[t] = x[t] + c[t] · y[t + 1] and are solved by doubling (Hillis and Steele 1986; for linear
recurrences Blelloch 1990): ⌈log₂ longest piece⌉ passes over all rows, whatever the pieces' lengths.

Every function takes the same first arguments:

    rewards, values, discounts: ``[N]``, floating, of one kind and precision.
    bootstrap_values: ``[P]``; anything (NaN included) where the piece ends in a termination or ``bootstrap_valid`` is false.
    terminateds: bool ``[N]``; true only on last rows of pieces.
    offsets: int64 ``[P + 1]``, always numpy; no piece is empty.
    bootstrap_valid: bool ``[P]``; None: all valid.

and raises ``ValueError`` where lengths do not fit. Nothing given is changed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

Array = Any  # numpy array or torch tensor


class LambdaTargets(NamedTuple):
    """``advantages`` [N] and the value targets ``returns`` [N] = advantages + values."""

    advantages: Array
    returns: Array


class VTraceTargets(NamedTuple):
    """``values`` [N]: the value targets v_s; ``advantages`` [N]: the weights of the policy gradient, ρ included."""

    values: Array
    advantages: Array


def row_discounts(gamma: float, rewards: Array, env_steps: Array | None = None) -> Array:
    """γᵏ for every row [N] in the kind and precision of ``rewards`` [N]; k from ``env_steps`` [N] (ticks), 1 where None (per decision)."""
    xp = array_namespace(rewards)
    if env_steps is None:
        return xp.full_like(rewards, gamma)
    return gamma ** xp.astype(env_steps, rewards.dtype)


def next_values(values: Array, bootstrap_values: Array, offsets: NDArray[np.int64]) -> Array:
    """V of every row's successor [N]: ``values[t + 1]`` inside a piece, ``bootstrap_values[p]`` after its last row."""
    xp = array_namespace(values, bootstrap_values)
    following = xp.empty_like(values)
    following[:-1] = values[1:]
    following[_last_rows(xp, offsets, values)] = bootstrap_values
    return following


def gae(
    rewards: Array,
    values: Array,
    bootstrap_values: Array,
    discounts: Array,
    terminateds: Array,
    offsets: NDArray[np.int64],
    lambda_: float,
    bootstrap_valid: Array | None = None,
) -> LambdaTargets:
    """Generalised advantage estimation (Schulman et al. 2016, eq. 11-16), for semi-Markov rows.

    δ[t] = R[t] + γᵏ (1 − terminated[t]) V(next) − V[t];  A[t] = δ[t] + λ γᵏ A[t + 1] inside a piece.

    ``lambda_`` in [0, 1]: 0 is the one-step advantage, 1 Monte Carlo with bootstrap. Arguments: see the module.
    """
    step = _Step.of(rewards, values, bootstrap_values, discounts, terminateds, offsets, bootstrap_valid)
    advantages = _scan(step.deltas, step.discounts * lambda_, offsets)
    return LambdaTargets(advantages, advantages + values)


def lambda_returns(
    rewards: Array,
    values: Array,
    bootstrap_values: Array,
    discounts: Array,
    terminateds: Array,
    offsets: NDArray[np.int64],
    lambda_: float,
    bootstrap_valid: Array | None = None,
) -> Array:
    """λ-returns [N] (Sutton and Barto 2018, eq. 12.2, in recursive form).

    G[t] = R[t] + γᵏ (1 − terminated[t]) ((1 − λ) V(next) + λ G[t + 1]), with G = V beyond a piece. Arguments: see the module.
    """
    return gae(rewards, values, bootstrap_values, discounts, terminateds, offsets, lambda_, bootstrap_valid).returns


def n_step_returns(
    rewards: Array,
    values: Array,
    bootstrap_values: Array,
    discounts: Array,
    terminateds: Array,
    offsets: NDArray[np.int64],
    n: int,
    bootstrap_valid: Array | None = None,
) -> Array:
    """n-step returns [N] over ``n`` ≥ 1 decisions (Sutton and Barto 2018, eq. 7.1). Arguments: see the module.

    G[t] = R[t] + Γ₁ R[t + 1] + … + Γₙ V(after n rows), Γᵢ the product of the first i discounts. A window that reaches the end
    of its piece stops there: nothing follows a termination, ``bootstrap_values`` follows anything else.
    """
    if n < 1:
        raise ValueError(f"n is {n}, expected at least 1 decision")
    step = _Step.of(rewards, values, bootstrap_values, discounts, terminateds, offsets, bootstrap_valid)
    carry = _cut(step.discounts, offsets)
    total = step.deltas
    for _ in range(min(n, _longest(offsets)) - 1):  # the sum of n discounted δ telescopes to G − V
        total = _add_shifted(step.deltas, carry, total, 1)
    return total + values


def vtrace(
    rewards: Array,
    values: Array,
    bootstrap_values: Array,
    discounts: Array,
    terminateds: Array,
    offsets: NDArray[np.int64],
    ratios: Array,
    lambda_: float = 1.0,
    rho_clip: float = 1.0,
    c_clip: float = 1.0,
    bootstrap_valid: Array | None = None,
) -> VTraceTargets:
    """V-trace (Espeholt et al. 2018, eq. 1, with λ as in remark 2, and the policy-gradient advantage of section 4.2).

    With ρ = min(ρ̄, ratio) and c = λ min(c̄, ratio), ``ratios`` [N] = π(a|x) / μ(a|x):

    v[t] − V[t] = ρ δ[t] + γᵏ c (v[t + 1] − V[t + 1]);  advantage[t] = ρ (R[t] + γᵏ v[t + 1] − V[t]), v = V beyond a piece.

    Arguments: see the module. No gradient is meant to flow through it.
    """
    xp = array_namespace(ratios)
    step = _Step.of(rewards, values, bootstrap_values, discounts, terminateds, offsets, bootstrap_valid)
    rho, trace = xp.clip(ratios, max=rho_clip), lambda_ * xp.clip(ratios, max=c_clip)
    targets = values + _scan(rho * step.deltas, step.discounts * trace, offsets)
    following = next_values(targets, step.next_values[_last_rows(xp, offsets, values)], offsets)
    return VTraceTargets(targets, rho * (step.rewards + step.discounts * following - values))


class _Step(NamedTuple):
    """One-step quantities of every row [N], ends taken in: after a termination the discount and the next value are 0."""

    rewards: Array
    discounts: Array
    next_values: Array
    deltas: Array

    @classmethod
    def of(
        cls,
        rewards: Array,
        values: Array,
        bootstrap_values: Array,
        discounts: Array,
        terminateds: Array,
        offsets: NDArray[np.int64],
        bootstrap_valid: Array | None,
    ) -> _Step:
        xp = array_namespace(rewards, values)
        sizes = {"rewards": rewards, "values": values, "discounts": discounts, "terminateds": terminateds}
        for name, column in sizes.items():
            if tuple(column.shape) != (int(offsets[-1]),):
                raise ValueError(f"{name} has shape {tuple(column.shape)}, expected {(int(offsets[-1]),)} as offsets end there")
        if tuple(bootstrap_values.shape) != (len(offsets) - 1,):
            shape = tuple(bootstrap_values.shape)
            raise ValueError(f"bootstrap_values has shape {shape}, expected {(len(offsets) - 1,)}: one for each piece")
        ends = terminateds
        if bootstrap_valid is not None and not bool(xp.all(bootstrap_valid)):
            # A row that earns its own value and ends there has δ = 0 and hands that value on: no more is known.
            last = _last_rows(xp, offsets, values)
            unknown = xp.zeros_like(terminateds)
            unknown[last] = ~bootstrap_valid & ~terminateds[last]
            rewards = xp.where(unknown, values, rewards)
            ends = terminateds | unknown
        zero = xp.zeros_like(values)
        following = xp.where(ends, zero, next_values(values, bootstrap_values, offsets))
        discounts = xp.where(ends, zero, discounts)
        return cls(rewards, discounts, following, rewards + discounts * following - values)


def _last_rows(xp: Any, offsets: NDArray[np.int64], like: Array) -> Array:
    """The last row of every piece [P], as an index array beside ``like``."""
    return xp.asarray(offsets[1:] - 1, device=device(like))


def _longest(offsets: NDArray[np.int64]) -> int:
    return int(np.diff(offsets).max(initial=0))


def _cut(carry: Array, offsets: NDArray[np.int64]) -> Array:
    """A copy of ``carry`` [N] that is 0 on last rows: no recurrence runs from one piece into another."""
    xp = array_namespace(carry)
    carry = xp.asarray(carry, copy=True)
    carry[_last_rows(xp, offsets, carry)] = 0.0
    return carry


def _add_shifted(x: Array, carry: Array, y: Array, by: int) -> Array:
    """x[t] + carry[t] · y[t + by] [N], y = 0 beyond the rows."""
    xp = array_namespace(x)
    out = xp.asarray(x, copy=True)
    out[:-by] += carry[:-by] * y[by:]
    return out


def _scan(x: Array, carry: Array, offsets: NDArray[np.int64]) -> Array:
    """y[t] = x[t] + carry[t] · y[t + 1] inside every piece [N]; ``carry`` of last rows is not used."""
    xp = array_namespace(x)
    total, product = xp.asarray(x, copy=True), _cut(carry, offsets)
    span = 1  # total[t] sums rows t … t + span − 1, product[t] is the product of their carries
    longest = _longest(offsets)
    while span < longest:
        total[:-span] += product[:-span] * total[span:]
        product[:-span] *= xp.asarray(product[span:], copy=True)
        span *= 2
    return total
