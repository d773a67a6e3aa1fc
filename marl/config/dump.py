"""A validated run as plain data again: what ``config.yaml`` holds, and what a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
from gymnasium import Space
from pydantic import BaseModel

from marl.config.parse import HOUSE_KEYS, ROUTES
from marl.config.run_file import reference_to
from marl.config.schema import EvaluationConfig, PolicyEntry, RunConfig
from marl.router import WeightedMatch
from marl.spaces import space_to_json


def config_to_data(config: RunConfig, *, references: bool = True) -> dict[str, Any]:
    """Data that :func:`~marl.config.load_config` turns into an equal config; every key is written, defaults too.

    Args:
        references: write classes and functions as ``module:qualname`` or ``<unsaved: file:line>``; False: leave them as they are.
    """
    data: dict[str, Any] = {}
    for name in RunConfig.model_fields:
        value = getattr(config, name)
        if name == "policies":
            data[name] = {policy_id: _policy(policy_id, entry, config) for policy_id, entry in value.items()}
        elif name == "learners":
            named = {key: one for key, one in value.items() if one.named}
            data[name] = {key: {"algorithm": one.reference, **_model(one.config)} for key, one in named.items()}
        elif name == "evaluation":
            data[name] = {key: _route(key, getattr(value, key)) for key in EvaluationConfig.model_fields}
        elif name in ROUTES:
            data[name] = _route(name, value)
        else:
            data[name] = value
    return {key: _plain(value, references) for key, value in data.items()}


def _policy(policy_id: str, entry: PolicyEntry, config: RunConfig) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    if entry.learner is not None:
        learner = config.learners[entry.learner]
        if learner.named:
            keys["learner"] = entry.learner
        else:
            keys["algorithm"] = learner.reference
            keys.update(_model(learner.config))
        if entry.config is not None:
            keys.update(_model(entry.config))
    else:
        keys["player"] = entry.player
        keys.update(entry.options)
    if not entry.train:
        keys["train"] = False
    for key in HOUSE_KEYS[4:]:
        value = getattr(entry, key)
        if value is not None:
            keys[key] = {"gamma": value.gamma, "per": value.per} if key == "discount" else value
    return keys


def _model(model: BaseModel) -> dict[str, Any]:
    """The fields of a plugin's config; sections below it become dicts, all else stays what it is."""
    return {name: _section(getattr(model, name)) for name in type(model).model_fields}


def _section(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _model(value)
    if isinstance(value, Mapping) and not isinstance(value, Space):
        return {key: _section(one) for key, one in value.items()}
    return [_section(one) for one in value] if isinstance(value, (list, tuple)) else value


def _route(key: str, value: Any) -> Any:
    if key != "matches" or value is None:
        return value
    return [_match(one) for one in value]


def _match(one: WeightedMatch) -> dict[str, Any]:
    match = one.match
    data: dict[str, Any] = {"seats": dict(match.seats), "weight": one.weight}
    if match.learn is not None:
        data["learn"] = list(match.learn)
    for key in ("weights", "seed", "options", "tag"):
        value = getattr(match, key)
        if value is not None and value != {}:
            data[key] = dict(value) if isinstance(value, Mapping) else value
    return data


def _plain(value: Any, references: bool) -> Any:
    """``value`` as dicts, lists and scalars; functions and classes by name, or as they are."""
    if isinstance(value, Space):  # before Mapping: a Dict space is one
        return space_to_json(value)
    if isinstance(value, BaseModel):
        return _plain(_model(value), references)
    if isinstance(value, Mapping):
        return {_plain_key(key, references): _plain(one, references) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one, references) for one in value]
    if isinstance(value, (set, frozenset)):
        return [_plain(one, references) for one in sorted(value, key=str)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, PurePath):
        return str(value)
    return reference_to(value) if references else value


def _plain_key(key: Any, references: bool) -> Any:
    if isinstance(key, np.generic):
        return key.item()
    return reference_to(key) if references and not isinstance(key, (str, int, float, bool)) else key
