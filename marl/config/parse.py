"""From what people write to one :class:`RunConfig`: every problem is found, and all are raised at once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from gymnasium import Space
from pydantic import BaseModel, ValidationError

from marl.algorithm import Algorithm, OnPolicy, PluginConfig
from marl.config import renamed
from marl.config.plugins import find_algorithm, import_reference
from marl.config.run_file import is_unsaved, read_run_file
from marl.config.schema import EvaluationConfig, LearnerEntry, PolicyEntry, RunConfig, RunKeys
from marl.errors import ConfigError, PluginError, Problem, did_you_mean
from marl.hooks import faults_of_callbacks
from marl.metrics import is_metric, known_metrics
from marl.policy import Discount
from marl.registry import describe_creation
from marl.router import Match, WeightedMatch, check_mapping, parse_match
from marl.spaces import space_from_json

ROUTES = ("mapping", "policy_mapping_fn", "matches", "match_fn")
HOUSE_KEYS = ("algorithm", "learner", "player", "train", "init_from", "discount", "observation_space", "action_space")
STOPS = ("num_env_steps", "num_agent_steps", "time_s", "iterations")
PLAYERS = ("random", "constant")


def load_config(source: RunConfig | Mapping[str, Any] | str | Path | None = None, /, **keys: Unpack[RunKeys]) -> RunConfig:
    """The validated run that a run file, a dict or keywords describe; ``keys`` replace those of ``source``.

    The folder of a run file becomes the first on the import path.

    Raises:
        ConfigError: with every problem that can be known before an environment exists.
    """
    if isinstance(source, RunConfig):
        if not keys:
            return source
        from marl.config.dump import config_to_data

        source = config_to_data(source, references=False)
    data: dict[str, Any] = {}
    if isinstance(source, (str, Path)):
        folder = str(Path(source).resolve().parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        data.update(read_run_file(source))
    elif isinstance(source, Mapping):
        data.update(source)
    elif source is not None:
        raise ConfigError(f"expected a run file's path, a dict or a RunConfig, found {source!r}")
    data.update(keys)
    return _Parse(data).result()


class _Parse:
    """One pass over the data of a run; problems are gathered as they are met."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = dict(data)
        self.problems: list[Problem] = []

    def result(self) -> RunConfig:
        data = self._known_keys(self.data, RunConfig, "", renamed.TOP)
        if data.get("env") is None:
            self._wrong("env", "no environment is named", "e.g. env: pettingzoo/classic/tictactoe_v3")
        for key in ("evaluation", "checkpoint", "stop", "env_config"):
            if data.get(key) is None:
                data.pop(key, None)
        data["policies"], data["learners"] = self._policies(data.get("policies"), data.get("learners"))
        policies = list(data["policies"])
        self._routes(data, "", policies, required=len(policies) != 1)
        if isinstance(data.get("evaluation"), Mapping):
            data["evaluation"] = self._evaluation(data["evaluation"], policies)
        data["wrappers"] = self._wrappers(data.get("wrappers"))
        data["policies_to_train"] = self._policies_to_train(data.get("policies_to_train"), data["policies"])
        data["loggers"] = self._names(data.get("loggers", ("csv", "tensorboard")), "loggers", ("csv", "tensorboard"))
        data["callbacks"] = self._names(data.get("callbacks"), "callbacks", ())
        for index, one in enumerate(data["callbacks"]):
            self.problems += [Problem(f"callbacks[{index}]", wrong, mend) for wrong, mend in faults_of_callbacks(one)]
        if isinstance(data.get("infos"), str):
            data["infos"] = (data["infos"],)
        self._env(data)
        self._later(data)
        self._stop(data.get("stop"))
        config = self._model(RunConfig, data, "")
        if self.problems:
            raise ConfigError(self.problems)
        assert isinstance(config, RunConfig)
        return config

    # ------------------------------------------------------------------ sections

    def _env(self, data: Mapping[str, Any]) -> None:
        env, copies = data.get("env"), data.get("envs_per_worker", 1)
        if is_unsaved(env):
            self._unsaved("env", env)
        elif isinstance(env, str):
            try:
                describe_creation(env)
            except (PluginError, ImportError) as error:
                self._wrong("env", str(error))
        instance = not isinstance(env, (str, type)) and hasattr(env, "reset") and hasattr(env, "step") and not hasattr(env, "num_envs")
        if instance and (copies != 1 or data.get("workers", 0) > 1):
            wrong = (
                f"one environment object cannot be {copies} copies"
                if copies != 1
                else "one environment object cannot serve several workers"
            )
            self._wrong("env", wrong, "give its class, or a function that makes one")

    def _later(self, data: dict[str, Any]) -> None:
        """Keys that are understood, and answered with what this version does instead."""
        if data.get("runner") == "ray":
            self._wrong("runner", "workers on Ray are not part of this version", "runner: local")
            data.pop("runner")
        if data.get("loop", "synchronous") != "synchronous":
            self._wrong("loop", f"found {data.pop('loop')!r}; this version has the synchronous loop", "loop: synchronous")
        if data.get("env_process") == "own":
            self._wrong("env_process", "environments with a process of their own are not part of this version", "env_process: shared")
            data.pop("env_process")
        elif data.get("env_step_timeout_s") is not None:
            self._wrong(
                "env_step_timeout_s",
                "a step can be cut only where the environment has its own process or the worker is a Ray actor",
                "leave it out, or env_process: own",
            )

    def _evaluation(self, section: Mapping[str, Any], policies: Sequence[str]) -> Any:
        section = self._known_keys(section, EvaluationConfig, "evaluation.", renamed.EVALUATION)
        self._routes(section, "evaluation.", policies, required=False)
        if section.get("episodes") is not None and section.get("num_env_steps") is not None:
            self._wrong("evaluation", "both episodes and num_env_steps are given", "keep one of them")
        return self._model(EvaluationConfig, section, "evaluation.") or EvaluationConfig()

    def _stop(self, stop: Any) -> None:
        for name, threshold in stop.items() if isinstance(stop, Mapping) else ():
            if name in renamed.STOP:
                self._wrong(f"stop.{name}", "is called otherwise here", f"write {renamed.STOP[name]}")
            elif name not in STOPS and not is_metric(str(name)):
                self._wrong(
                    f"stop.{name}", f"no metric has this name.{did_you_mean(name, [*STOPS, *known_metrics()])}", "see docs/metrics.md"
                )
            elif name in STOPS and (isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or threshold <= 0):
                self._wrong(f"stop.{name}", f"found {threshold!r}", "expected a number above 0")

    def _wrappers(self, wrappers: Any) -> tuple[Any, ...]:
        """The run's wrappers, each a name, a callable, or one of them with its options."""
        if wrappers is None:
            return ()
        if isinstance(wrappers, (str, Mapping)) or not isinstance(wrappers, Iterable):
            self._wrong("wrappers", f"found {wrappers!r}", "expected a list of NAME or {NAME: {options}}")
            return ()
        specs = tuple(wrappers)
        by_name = []
        for index, spec in enumerate(specs):
            name = next(iter(spec), None) if isinstance(spec, Mapping) and len(spec) == 1 else spec
            if is_unsaved(name):
                self._unsaved(f"wrappers[{index}]", name)
            elif not callable(name):
                by_name.append(spec)
        if by_name:
            from marl.wrappers import check_wrappers  # with it come image tools: loaded where a run has wrappers

            self.problems += check_wrappers(by_name)
        return specs

    def _policies_to_train(self, wanted: Any, policies: Mapping[str, PolicyEntry]) -> Any:
        if is_unsaved(wanted):
            self._unsaved("policies_to_train", wanted)
            return None
        if isinstance(wanted, str) and ":" in wanted:
            wanted = self._resolved(wanted, "policies_to_train")
        if wanted is None or callable(wanted):
            return wanted
        if isinstance(wanted, str) or not isinstance(wanted, Iterable):
            self._wrong("policies_to_train", f"found {wanted!r}", "expected a list of policies, or a function (policy_id, batch) → bool")
            return None
        names = tuple(wanted)
        for name in names:
            if name not in policies:
                self._wrong("policies_to_train", f"there is no policy {name!r}.{did_you_mean(name, policies)}", "name one of policies")
            elif policies[name].learner is None:
                self._wrong("policies_to_train", f"{name!r} is a player and has no algorithm", "leave it out")
            elif not policies[name].train:
                self._wrong("policies_to_train", f"policies.{name}.train is false", "keep one of the two")
        return names

    def _names(self, given: Any, key: str, known: tuple[str, ...]) -> tuple[Any, ...]:
        if given is None:
            return ()
        if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
            given = [given]
        found = []
        for index, one in enumerate(given):
            if is_unsaved(one):
                self._unsaved(f"{key}[{index}]", one)
            elif isinstance(one, str) and ":" in one:
                found.append(self._resolved(one, f"{key}[{index}]"))
            elif isinstance(one, str) and one not in known:
                self._wrong(f"{key}[{index}]", f"nothing is called {one!r}.{did_you_mean(one, known)}", "module:Class for your own")
            else:
                found.append(one)
        return tuple(found)

    # ------------------------------------------------------------------ who plays whom

    def _routes(self, section: dict[str, Any], prefix: str, policies: Sequence[str], *, required: bool) -> None:
        given = [key for key in ROUTES if section.get(key) is not None]
        if len(given) > 1:
            self._wrong(prefix + f" and {prefix}".join(given), "each says alone who plays whom", "keep one of them")
        if not given and required:
            self._wrong(
                prefix + "mapping",
                f"there are {len(policies)} policies and nothing says who plays whom",
                'mapping: {"AGENT or pattern": POLICY}',
            )
        if section.get("mapping") is not None:
            self.problems += check_mapping(section["mapping"], policies, prefix + "mapping")
        if section.get("matches") is not None:
            section["matches"] = self._matches(section["matches"], prefix + "matches", policies)
        for key in ("policy_mapping_fn", "match_fn"):
            function = section.get(key)
            if is_unsaved(function):
                self._unsaved(prefix + key, function)
                section[key] = None
            elif isinstance(function, str):
                section[key] = self._resolved(function, prefix + key)

    def _matches(self, matches: Any, key: str, policies: Sequence[str]) -> tuple[WeightedMatch, ...]:
        if isinstance(matches, (str, Mapping)) or not isinstance(matches, Iterable) or not list(matches):
            self._wrong(key, f"found {matches!r}", "expected a list of {seats: {AGENT: POLICY}, …}")
            return ()
        found = []
        for index, one in enumerate(matches):
            where = f"{key}[{index}]"
            if isinstance(one, Match):
                one = WeightedMatch(one)
            if isinstance(one, Mapping):
                one, problems = parse_match(one, where)
                self.problems += problems
            elif not isinstance(one, WeightedMatch):
                self._wrong(where, f"found {one!r}", "expected {seats: {AGENT: POLICY}, …}")
                one = None
            if one is not None:
                self.problems += check_mapping(one.match.seats, policies, f"{where}.seats")
                found.append(one)
        if found and len(found) == len(list(matches)) and sum(one.weight for one in found) <= 0:
            self._wrong(key, "every weight is 0", "give one a weight above 0")
        return tuple(found)

    # ------------------------------------------------------------------ policies and learners

    def _policies(self, policies: Any, learners: Any) -> tuple[dict[str, PolicyEntry], dict[str, LearnerEntry]]:
        if policies is None:
            policies = {"default": {"algorithm": "ppo"}}
        if not isinstance(policies, Mapping) or not policies:
            self._wrong("policies", f"found {policies!r}", "expected {POLICY: {algorithm: …} or {player: …}}")
            return {}, {}
        entries: dict[str, PolicyEntry] = {}
        made: dict[str, LearnerEntry] = {}
        named = self._named_learners(learners)
        for policy_id, keys in policies.items():
            where = f"policies.{policy_id}"
            if not isinstance(policy_id, str) or not policy_id or "/" in policy_id:
                self._wrong(
                    where, f"{policy_id!r} cannot be a policy's id", "expected a name without '/' (metrics are called policies/<id>/…)"
                )
            if isinstance(keys, str):
                self._wrong(where, f"found {keys!r}", f"write {{algorithm: {keys}}} or {{player: {keys}}}")
                continue
            if not isinstance(keys, Mapping):
                self._wrong(where, f"found {keys!r}", "expected {algorithm: …} or {player: …}")
                continue
            entry, learner = self._policy(str(policy_id), dict(keys), where, named)
            entries[str(policy_id)] = entry
            if learner is not None:
                if policy_id in named:
                    self._wrong(where, f"a learner of its own would be called {policy_id!r}, as one of learners is", "rename that one")
                made[str(policy_id)] = learner
        for name, named_entry in named.items():
            members = tuple(policy_id for policy_id, entry in entries.items() if entry.learner == name)
            if not members:
                self._wrong(f"learners.{name}", "no policy joins it", f"policies: {{POLICY: {{learner: {name}}}}}")
            made[name] = LearnerEntry(named_entry.algorithm, named_entry.reference, named_entry.config, members, named=True)
        return entries, made

    def _named_learners(self, learners: Any) -> dict[str, LearnerEntry]:
        if learners is None:
            return {}
        if not isinstance(learners, Mapping):
            self._wrong("learners", f"found {learners!r}", "expected {NAME: {algorithm: …}}")
            return {}
        named: dict[str, LearnerEntry] = {}
        for name, keys in learners.items():
            where = f"learners.{name}"
            algorithm = self._algorithm(keys.get("algorithm"), where) if isinstance(keys, Mapping) else None
            if not isinstance(keys, Mapping) or keys.get("algorithm") is None:
                self._wrong(where, f"found {keys!r}", "expected {algorithm: …, keys of that algorithm}")
            if algorithm is None:
                continue
            rest = {key: value for key, value in keys.items() if key != "algorithm"}
            for key in [key for key in rest if key not in algorithm.Config.model_fields]:
                mend = (
                    "it is a policy's key: move it to the policies"
                    if key in algorithm.PolicyConfig.model_fields
                    else _plugin_hint(key, algorithm)
                )
                self._wrong(f"{where}.{key}", f"{algorithm.__name__} has no such learner key.{_near(key, algorithm.Config)}", mend)
                rest.pop(key)
            config = self._plugin_model(algorithm.Config, rest, where)
            if config is not None:
                self._data_kind(algorithm, config, where)
                named[str(name)] = LearnerEntry(algorithm, keys["algorithm"], config, ())
        return named

    def _policy(
        self, policy_id: str, keys: dict[str, Any], where: str, named: Mapping[str, LearnerEntry]
    ) -> tuple[PolicyEntry, LearnerEntry | None]:
        house = {key: keys.pop(key) for key in HOUSE_KEYS if key in keys}
        kinds = [kind for kind in ("algorithm", "learner", "player") if house.get(kind) is not None]
        common = self._common(house, where)
        if len(kinds) != 1:
            found = f"both {' and '.join(kinds)} are given" if kinds else "it has neither algorithm, learner nor player"
            self._wrong(where, found, "say exactly one of them, e.g. algorithm: ppo")
            return PolicyEntry(**common), None
        if kinds == ["player"]:
            return self._player(house["player"], keys, where, common), None
        if kinds == ["learner"]:
            joined = named.get(house["learner"])
            if joined is None:
                if house["learner"] not in (self.data.get("learners") or {}):
                    wrong = f"there is no learner {house['learner']!r}.{did_you_mean(house['learner'], named)}"
                    self._wrong(f"{where}.learner", wrong, "describe it under learners")
                return PolicyEntry(learner=str(house["learner"]), **common), None
            for key in [key for key in keys if key in joined.algorithm.Config.model_fields]:
                self._wrong(
                    f"{where}.{key}",
                    "is the learner's key, and the learner may have several policies",
                    f"move it to learners.{house['learner']}",
                )
                keys.pop(key)
            config = self._plugin_model(joined.algorithm.PolicyConfig, self._plugin_keys(keys, joined.algorithm, where)[1], where)
            return PolicyEntry(learner=str(house["learner"]), config=config, **common), None
        algorithm = self._algorithm(house["algorithm"], where)
        if algorithm is None:
            return PolicyEntry(**common), None
        learner_keys, policy_keys = self._plugin_keys(keys, algorithm, where)
        learner_config = self._plugin_model(algorithm.Config, learner_keys, where)
        policy_config = self._plugin_model(algorithm.PolicyConfig, policy_keys, where)
        entry = PolicyEntry(learner=policy_id, config=policy_config, **common)
        if learner_config is None:
            return entry, None
        self._data_kind(algorithm, learner_config, where)
        return entry, LearnerEntry(algorithm, house["algorithm"], learner_config, (policy_id,))

    def _common(self, house: Mapping[str, Any], where: str) -> dict[str, Any]:
        found: dict[str, Any] = {"init_from": house.get("init_from"), "discount": self._discount(house.get("discount"), where)}
        found["train"] = house.get("train", True)
        if not isinstance(found["train"], bool):
            self._wrong(f"{where}.train", f"found {house['train']!r}", "true, or false: it plays with the weights that it is made with")
        if found["init_from"] is not None and (not isinstance(found["init_from"], str) or ":" not in found["init_from"]):
            self._wrong(f"{where}.init_from", f"found {house['init_from']!r}", "expected CHECKPOINT:POLICY")
        for key in ("observation_space", "action_space"):
            space = house.get(key)
            if isinstance(space, Mapping) and not isinstance(space, Space):
                try:
                    space = space_from_json(dict(space))
                except (KeyError, TypeError, ValueError, ConfigError) as error:
                    self._wrong(
                        f"{where}.{key}", f"no space can be made of {space!r} ({error})", "a gymnasium space, or space_to_json of one"
                    )
            if space is not None and not isinstance(space, Space):
                self._wrong(f"{where}.{key}", f"found {space!r}", "expected a gymnasium space")
                space = None
            found[key] = space
        return found

    def _discount(self, given: Any, where: str) -> Discount | None:
        if given is None or isinstance(given, Discount):
            return given
        key = f"{where}.discount"
        if isinstance(given, (int, float)) and not isinstance(given, bool):
            self._wrong(key, f"found {given!r}", f"write discount: {{gamma: {given}}}")
            return None
        if not isinstance(given, Mapping):
            self._wrong(key, f"found {given!r}", "expected {gamma: 0.99, per: tick or decision}")
            return None
        for name in given:
            if name not in ("gamma", "per"):
                self._wrong(f"{key}.{name}", f"unknown key.{did_you_mean(name, ('gamma', 'per'))}", "{gamma, per}")
        gamma, per = given.get("gamma", 0.99), given.get("per", "decision")
        if isinstance(gamma, bool) or not isinstance(gamma, (int, float)) or not 0.0 <= gamma <= 1.0:
            self._wrong(f"{key}.gamma", f"found {gamma!r}", "expected 0 ≤ gamma ≤ 1")
            return None
        if per not in ("tick", "decision"):
            self._wrong(f"{key}.per", f"found {per!r}", "expected tick or decision")
            return None
        return Discount(float(gamma), per)

    def _player(self, player: Any, options: dict[str, Any], where: str, common: dict[str, Any]) -> PolicyEntry:
        if is_unsaved(player):
            self._unsaved(f"{where}.player", player)
        elif isinstance(player, str) and player not in PLAYERS:
            if ":" not in player:
                wrong = f"no player is called {player!r}.{did_you_mean(player, PLAYERS)}"
                self._wrong(f"{where}.player", wrong, "random, constant, module:name, or CHECKPOINT:POLICY")
            elif not names_checkpoint(player):
                player = self._resolved(player, f"{where}.player")
        known = {"random": (), "constant": ("action",)}.get(player) if isinstance(player, str) else None
        for key in options if known is not None else ():
            if key not in (known or ()):
                hint = f"discount: {{gamma: {options[key]}}}" if key == "gamma" else "leave it out: a player does not learn"
                self._wrong(f"{where}.{key}", f"player {player} has no such key.{did_you_mean(key, known or ())}", hint)
        return PolicyEntry(player=player, options=options, **common)

    # ------------------------------------------------------------------ plugins

    def _algorithm(self, reference: Any, where: str) -> type[Algorithm] | None:
        if reference is None:
            return None
        if is_unsaved(reference):
            self._unsaved(f"{where}.algorithm", reference)
            return None
        try:
            return find_algorithm(reference)
        except PluginError as error:
            self._wrong(f"{where}.algorithm", str(error))
            return None

    def _plugin_keys(self, keys: Mapping[str, Any], algorithm: type[Algorithm], where: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """``keys`` as those of ``Config`` and those of ``PolicyConfig``; unknown ones are problems."""
        learner_fields, policy_fields = algorithm.Config.model_fields, algorithm.PolicyConfig.model_fields
        for key in keys:
            if key not in learner_fields and key not in policy_fields:
                near = did_you_mean(key, [*learner_fields, *policy_fields, *HOUSE_KEYS])
                mend = _plugin_hint(key, algorithm)
                self._wrong(f"{where}.{key}", f"{algorithm.__name__} has no such key{'' if mend else '.' + near}", mend)
        return (
            {key: value for key, value in keys.items() if key in learner_fields},
            {key: value for key, value in keys.items() if key in policy_fields},
        )

    def _plugin_model(self, model: type[PluginConfig], keys: Mapping[str, Any], where: str) -> PluginConfig | None:
        for key, value in keys.items():
            if is_unsaved(value):
                self._unsaved(f"{where}.{key}", value)
        found = self._model(model, keys, f"{where}.")
        assert found is None or isinstance(found, PluginConfig)
        return found

    def _data_kind(self, algorithm: type[Algorithm], config: PluginConfig, where: str) -> None:
        try:
            kind = algorithm.data(config)
        except (ValueError, TypeError) as error:
            self._wrong(where, f"{algorithm.__name__} cannot say how it wants its rows ({error})")
            return
        if not isinstance(kind, OnPolicy):
            wrong = f"{algorithm.__name__} learns from {type(kind).__name__} data, which no loop of this version feeds"
            self._wrong(f"{where}.algorithm", wrong, "use an on-policy algorithm, e.g. ppo")

    # ------------------------------------------------------------------ tools

    def _wrong(self, key: str, wrong: str, mend: str = "") -> None:
        self.problems.append(Problem(key, wrong, mend))

    def _unsaved(self, key: str, value: Any) -> None:
        self._wrong(
            key, f"{value} stood here when the run was saved, and it has no importable name", f"pass it again: {key.split('[')[0]}=…"
        )

    def _resolved(self, reference: str, key: str) -> Any:
        try:
            return import_reference(reference)
        except (PluginError, ImportError) as error:
            self._wrong(key, str(error))
            return None

    def _known_keys(self, section: Mapping[str, Any], model: type[BaseModel], prefix: str, names: Mapping[str, str]) -> dict[str, Any]:
        """``section`` without the keys that ``model`` has not; those are problems, with the name to use."""
        kept = {}
        for key, value in section.items():
            if key in model.model_fields:
                kept[key] = value
            elif key in names:
                self._wrong(f"{prefix}{key}", "is called otherwise here", names[key])
            else:
                self._wrong(f"{prefix}{key}", f"unknown key.{did_you_mean(key, model.model_fields)}")
        return kept

    def _model(self, model: type[BaseModel], keys: Mapping[str, Any], prefix: str) -> BaseModel | None:
        try:
            return model(**keys)
        except ValidationError as error:
            reported = {problem.key for problem in self.problems}
            for one in error.errors():
                key = prefix + ".".join(str(part) for part in one["loc"] if not _is_branch(part))
                if key in reported or (not one["loc"] and not one["msg"]):
                    continue
                if one["type"] == "missing":
                    self._wrong(key, "is missing")
                elif one["type"] == "extra_forbidden":
                    names = _fields_at(model, one["loc"][:-1])
                    self._wrong(key, f"unknown key.{did_you_mean(one['loc'][-1], names)}")
                else:
                    self._wrong(key.rstrip("."), f"{one['msg']}, found {one['input']!r}", _described(model, one["loc"]))
            return None


def names_checkpoint(player: str) -> bool:
    """Whether ``player`` is ``CHECKPOINT:POLICY`` rather than ``module:name``."""
    path = player.rpartition(":")[0]
    return "/" in path or "\\" in path or Path(path).exists()


def _near(key: str, model: type[BaseModel]) -> str:
    return did_you_mean(key, model.model_fields)


def _plugin_hint(key: str, algorithm: type[Algorithm]) -> str:
    """What to write for a name that other frameworks use, where this plugin has that key."""
    hint = renamed.POLICY.get(key, "")
    fields = {*algorithm.Config.model_fields, *algorithm.PolicyConfig.model_fields, "discount", "algorithm"}
    names = [word.strip(":") for word in hint.split()]
    return f"write {hint}" if any(name in fields for name in names) else ""


def _is_branch(part: Any) -> bool:
    """Whether a part of a location is a pydantic branch of a union rather than a key."""
    return isinstance(part, str) and ("[" in part or part in ("int", "str", "float", "bool"))


def _fields_at(model: type[BaseModel], loc: tuple[Any, ...]) -> Iterable[str]:
    current: Any = model
    for part in loc:
        annotation = current.model_fields[part].annotation if part in getattr(current, "model_fields", {}) else None
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        current = next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), current)
    return getattr(current, "model_fields", {})


def _described(model: type[BaseModel], loc: tuple[Any, ...]) -> str:
    field = model.model_fields.get(str(loc[0])) if loc else None
    return field.description or "" if field is not None else ""
