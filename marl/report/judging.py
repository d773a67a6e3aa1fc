"""Judge a checkpoint's policies by playing: as the run evaluates itself, or against another player in every seat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marl.batch import EpisodeRecord
from marl.checkpoint import find_checkpoint, load_config, load_part, read_manifest, read_policy, trusting
from marl.config import RunConfig
from marl.config import load_config as parse_config
from marl.config.build_env import agents_of_env
from marl.errors import ConfigError, Problem, did_you_mean
from marl.evaluation import DEFAULT_EPISODES, EVALUATION_WORKER
from marl.local import Plan, load_env, make_plan, make_worker, seed_of
from marl.metrics import EpisodeMetrics
from marl.worker import Worker

ROUTES = ("mapping", "policy_mapping_fn", "matches", "match_fn")
_OF_TRAINING = ("learners", "policies_to_train", "callbacks", "loggers")
_OPPONENT = "_opponent"


@dataclass
class Judgement:
    """Metrics under their fixed names (no prefix), the episodes behind them, and the policies that the run taught."""

    metrics: dict[str, float]
    episodes: list[EpisodeRecord]
    learned: tuple[str, ...]


def judge(
    checkpoint: str | Path,
    *,
    episodes: int | None = None,
    explore: bool | None = None,
    seed: int | None = None,
    against: str | None = None,
    envs: int | None = None,
    trust: Sequence[str] = (),
    env: Any = None,
) -> Judgement:
    """Play whole episodes with a checkpoint's policies; nobody learns, and no learner is made.

    Args:
        episodes: how many; None: as the run evaluates itself (100 if it does not say).
        explore: None: as the run evaluates itself (greedy if it does not say).
        seed: of the episodes; None: the run's evaluation seed, so that the same checkpoint is judged alike twice.
        against: ``random``, a policy of this checkpoint or ``CHECKPOINT:POLICY``: each learned policy plays every seat in turn against it.
        envs: copies of the environment; None: as the run evaluates itself.
        trust, env: as for :func:`marl.load_env`.
    """
    with trusting(trust):
        return _judge(find_checkpoint(checkpoint), episodes, explore, seed, against, envs, env)


def _judge(
    path: Path, episodes: int | None, explore: bool | None, seed: int | None, against: str | None, envs: int | None, env: Any
) -> Judgement:
    config = judged_config(path, against=against, env=env)
    section = config.evaluation
    count = episodes or section.episodes or DEFAULT_EPISODES
    plan = make_plan(config)
    first, made = plan.probe, [plan.probe]

    def copy(index: int) -> Any:
        if index == 0:
            return first
        made.append(plan.make_env(EVALUATION_WORKER)(index))
        return made[-1]

    try:
        worker = judging_worker(
            plan,
            copy,
            copies=min(count, envs or section.envs or config.envs_per_worker),
            seed=seed if seed is not None else section.seed if section.seed is not None else seed_of(config.seed, "evaluation"),
            explore=section.explore if explore is None else explore,
            match_state=match_state_of(path),
        )
        _, finished = worker.sample(num_episodes=count, explore=section.explore if explore is None else explore)
    finally:
        for one in made:
            if callable(getattr(one, "close", None)):
                one.close()
    metrics = EpisodeMetrics(window=None)
    metrics.add(finished)
    found = {name: value for name, value in metrics.take().items() if name != "num_episodes_total"}
    return Judgement(found, finished, read_manifest(path).learned)


def match_state_of(path: Path) -> Any:
    """What ``trainer.set_match_state`` had last been given when ``path`` was saved."""
    progress = load_part(path, "progress")
    return None if progress is None else progress.get("match_state")


def judging_worker(plan: Plan, make_env: Callable[[int], Any], *, copies: int, seed: int, explore: bool, match_state: Any = None) -> Worker:
    """A worker that keeps no rows and plays as the run evaluates: its own routes, matches in turn."""
    section = plan.config.evaluation
    routed = any(getattr(section, key) is not None for key in ROUTES)
    router = plan.router(section if routed else None, in_turn=True)
    worker = make_worker(plan, EVALUATION_WORKER, router=router, record=(), make_env=make_env, envs=copies, seed=seed, explore=explore)
    worker.match_state = match_state
    return worker


def judged_config(path: Path, *, against: str | None = None, env: Any = None) -> RunConfig:
    """The run of a checkpoint with its learned policies as players that do not learn."""
    given = [*_OF_TRAINING, *(ROUTES if against is not None else ()), *(() if env is None else ("env",))]
    data = load_config(path, given=given)
    if env is not None:
        data["env"] = env
    manifest = read_manifest(path)
    players = {policy_id: {"player": f"{path.absolute()}:{policy_id}"} for policy_id in manifest.learned}
    policies = {policy_id: players.get(policy_id, keys) for policy_id, keys in data["policies"].items()} | players
    data |= {"policies": policies, "workers": 0}
    if against is not None:
        _every_seat(data, path, against, list(manifest.learned), policies, env)
    return parse_config(data)


def _every_seat(data: dict[str, Any], path: Path, against: str, learned: list[str], policies: Mapping[str, Any], env: Any) -> None:
    """Matches in which every learned policy has every seat that it fits once, and ``against`` all others."""
    if against not in policies and against != "random" and ":" not in against:
        raise ConfigError([Problem("--against", f"nobody is called {against!r}.{did_you_mean(against, [*policies, 'random'])}")])
    made = load_env(path, env=env)
    known = agents_of_env(made)
    spaces = {agent: known.of(made, agent) for agent in known.agents}
    if callable(getattr(made, "close", None)):
        made.close()
    if len(spaces) < 2:
        raise ConfigError([Problem("--against", "this game has one seat", "leave it out")])
    taught = {policy_id: read_policy(path, policy_id).spec for policy_id in learned}
    fitting = {
        policy_id: [agent for agent, both in spaces.items() if both is None or both == (spec.observation_space, spec.action_space)]
        for policy_id, spec in taught.items()
    }
    opponents, players = _opponents(against, policies, spaces)
    matches = [
        {"seats": {agent: policy_id if agent == seat else opponents[agent] for agent in spaces}}
        for policy_id, seats in fitting.items()
        for seat in seats
    ]
    if not matches:
        raise ConfigError([Problem("--against", "no learned policy fits a seat of this game", "evaluate it in its own game")])
    evaluation = {key: value for key, value in (data.get("evaluation") or {}).items() if key not in ROUTES}
    seated = {policy_id for match in matches for policy_id in match["seats"].values()}
    data["policies"] = {policy_id: keys for policy_id, keys in {**policies, **players}.items() if policy_id in seated}
    data["matches"], data["evaluation"] = matches, {**evaluation, "matches": matches}


def _opponents(against: str, policies: Mapping[str, Any], spaces: Mapping[Any, Any]) -> tuple[dict[Any, str], dict[str, Any]]:
    """Who plays each seat that is not judged, and the players among them that the run does not have. Random: one for each kind of seat."""
    if against in policies:
        return dict.fromkeys(spaces, against), {}
    if against != "random":
        return dict.fromkeys(spaces, _OPPONENT), {_OPPONENT: {"player": against}}
    kinds: list[Any] = []
    for both in spaces.values():
        if both not in kinds:
            kinds.append(both)
    names = ["random", *(f"random_{number}" for number in range(2, len(kinds) + 1))]
    return {agent: names[kinds.index(both)] for agent, both in spaces.items()}, {name: {"player": "random"} for name in names}
