"""Holds what the sampler made against what the oracle says, row by row, and names every disagreement."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

import marl
from marl.env import END_CAUSES
from marl.policy import Discount, PolicySpec
from marl.router import Router
from marl.sampler import RolloutWorker
from marl.vector_sampler import VectorRolloutWorker

from .echo import Echo, Remembering, echo
from .histories import NAMES, Choices, ScriptedEnv, World, answer, bare, is_odd, player, world_from_bytes
from .oracle import Episode, Joint, tell
from .vector_histories import ScriptedVectorEnv, in_array_form

JOINT = ("joint_obs", "joint_actions", "joint_alive", "joint_due")
POLICY_OF = {agent: "rival" if is_odd(agent) else "main" for agent in NAMES}
GAMMA = {"main": 0.9, "rival": 0.5}


@dataclass(frozen=True)
class Case:
    """A world, how many copies of it are played, and the fragments that are asked for: ticks per copy."""

    world: World
    copies: int = 1
    lengths: tuple[int, ...] = (8,)
    rival_asks: bool = True  # does the policy ``rival`` want ``rewards_discounted``?
    players: str = "scripted"  # or "echo", "remembering": policies that answer whole batches, and get new weights before each fragment
    complete: bool = False  # fragments end with whole episodes
    joint: bool = False  # policy ``main`` wants the columns ``joint_*``
    arrays: bool = False  # the copies are one array-native environment


def case_from_bytes(data: bytes) -> Case:
    """A case read from bytes; zeros are the simplest."""
    choose = Choices(data[:10])
    copies = (1, 1, 2, 1, 3, 2, 4, 2)[choose.below(8)]
    rival_asks = choose.below(4) != 3
    long = choose.below(5) == 4
    lengths = [1 + choose.below(20 if long else 6)]
    while len(lengths) < 5 and sum(lengths) < (20 if long else 8) and choose.below(3):
        lengths.append(1 + choose.below(20 if long else 4))
    players = ("scripted", "echo", "remembering")[choose.below(3)]
    complete = choose.below(8) == 7
    world = world_from_bytes(data[10:])
    joint = choose.below(6) == 5 and "'x'" not in repr(world)  # joint columns are for closed sets of agents
    return Case(world, copies, tuple(lengths), rival_asks, players, complete, joint)


def arrays_case_from_bytes(data: bytes) -> Case:
    """A case for an array-native environment."""
    case = case_from_bytes(data)
    players = "echo" if case.players == "scripted" else case.players
    return replace(case, world=in_array_form(case.world), players=players, joint=False, arrays=True)


@dataclass
class Fragment:
    """What one ``sample`` call returned, and how far each copy had gone after it (calls of each of its episodes)."""

    batch: Any
    episodes: list[Any]
    calls: list[list[int]]


@dataclass
class Evidence:
    envs: list[ScriptedEnv] = field(default_factory=list)
    fragments: list[Fragment] = field(default_factory=list)


def make_sampler(
    case: Case,
    envs: list[ScriptedEnv],
    env_class: type[ScriptedEnv] = ScriptedEnv,
    vector_class: type[ScriptedVectorEnv] = ScriptedVectorEnv,
) -> Any:
    """The sampler under test; the copies that it makes are appended to ``envs``."""

    def create(context: Any) -> ScriptedEnv:
        env = env_class(case.world, context if isinstance(context, int) else context.vector_index)
        envs.append(env)
        return env

    needs = {"main": frozenset(JOINT)} if case.joint else {}
    rival_per = "tick" if case.rival_asks else "decision"
    if case.players == "scripted":
        policies: dict[str, Any] = {
            "main": {"player": player, "discount": {"gamma": GAMMA["main"], "per": "tick"}},
            "rival": {"player": player, "discount": {"gamma": GAMMA["rival"], "per": rival_per}},
        }
        return marl.Sampler(env=create, policies=policies, mapping=POLICY_OF, envs_per_worker=case.copies, seed=7, needs=needs)
    kind = Remembering if case.players == "remembering" else Echo
    shown = ScriptedEnv(case.world)
    specs = {
        policy: PolicySpec(policy, shown.observation_space(agent), shown.action_space(agent))
        for policy, agent in (("main", "a0"), ("rival", "a1"))
    }
    given: dict[str, Any] = {
        "router": Router(specs, mapping=POLICY_OF),
        "policies": {policy: kind(spec) for policy, spec in specs.items()},
        "discounts": {"main": Discount(GAMMA["main"], "tick"), "rival": Discount(GAMMA["rival"], rival_per)},  # type: ignore[arg-type]
        "needs": needs,
        "seed": 7,
    }
    if not case.arrays:
        return RolloutWorker(make_env=create, envs_per_worker=case.copies, **given)  # type: ignore[arg-type]
    env = vector_class(case.world, case.copies)
    envs += env.copies
    return VectorRolloutWorker(env=env, **given)


def version_in(case: Case, fragment: int) -> int:
    """The version of the weights that play during a fragment."""
    return 0 if case.players == "scripted" else 2 * fragment + 1


def sampled(case: Case) -> Evidence:
    """Let the sampler play a case."""
    evidence = Evidence()
    sampler = make_sampler(case, evidence.envs)
    for index, length in enumerate(case.lengths):
        give_weights(case, sampler, index)
        batch, episodes = sampler.sample(num_env_steps=length, complete_episodes=case.complete)
        take(evidence, batch, episodes)
    return evidence


def give_weights(case: Case, sampler: Any, fragment: int) -> None:
    if case.players != "scripted":
        for policy in ("main", "rival"):
            sampler.set_weights(policy, {}, version=version_in(case, fragment))
        sampler.refresh_stacks()


def take(evidence: Evidence, batch: Any, episodes: Sequence[Any]) -> None:
    evidence.fragments.append(Fragment(batch, list(episodes), [list(env.calls) for env in evidence.envs]))


# --- rows of both sides in one form ----------------------------------------------------------------------------------

Key = tuple[int, int, str, int, int]  # copy, episode, agent, life, decision


@dataclass
class Facts:
    """One row, in a form in which both sides can be compared."""

    fragment: int
    policy: str
    t: int
    obs: list[float]
    mask: list[bool] | None
    action: int
    rewards: float
    rewards_discounted: float | None
    env_steps: int
    terminated: bool
    truncated: bool
    end_cause: str
    weights_version: int
    successor: list[float] | None  # None: there is none, and what stands in its place means nothing
    bootstrap_valid: bool
    parent: tuple[str, int, int] | None
    joint: list[Any] | None  # per slot: alive, due, observation, action
    joint_after: list[Any] | None  # per slot: alive, due, observation, where an observation of the same life follows


def told(case: Case, evidence: Evidence) -> tuple[dict[tuple[int, int], Episode], dict[Key, Facts]]:
    """What the oracle says about the calls that the sampler made: all episodes, and all rows that are closed."""
    episodes: dict[tuple[int, int], Episode] = {}
    rows: dict[Key, Facts] = {}
    for copy in range(case.copies):
        env = ScriptedEnv(case.world, copy)

        def version_at(number: int, call: int, copy: int = copy) -> int:
            return version_in(case, _fragment_of(evidence, copy, number, call))

        told_by = tell(env, evidence.envs[copy].calls, answer, lambda agent: GAMMA[POLICY_OF[agent]], version_at)
        for number, episode in enumerate(told_by):
            episodes[copy, number] = episode
            for row in episode.rows:
                if row.closed_at is None:
                    continue
                policy = POLICY_OF[row.agent]
                successor = [0.0] * len(row.obs) if row.terminated and row.successor is None else row.successor
                rows[copy, number, row.agent, row.life, row.decision] = Facts(
                    fragment=_fragment_of(evidence, copy, number, row.closed_at),
                    policy=policy,
                    t=row.t,
                    obs=row.obs,
                    mask=row.mask,
                    action=row.action,
                    rewards=row.rewards,
                    rewards_discounted=row.rewards_discounted if policy == "main" or case.rival_asks else None,
                    env_steps=row.env_steps,
                    terminated=row.terminated,
                    truncated=row.truncated,
                    end_cause=row.end_cause,
                    weights_version=row.weights_version,
                    successor=successor,
                    bootstrap_valid=row.bootstrap_valid,
                    parent=row.parent,
                    joint=_joint(case, env, row.joint, row.joint_actions) if case.joint and policy == "main" else None,
                    joint_after=_joint(case, env, row.joint_after, None) if case.joint and policy == "main" and row.joint_after else None,
                )
    return episodes, rows


def _joint(case: Case, env: ScriptedEnv, joint: Joint, actions: dict[str, int] | None) -> list[Any]:
    """One entry per slot: alive, due, observation and, for a row's own time, action."""
    slots = []
    for agent in case.world.possible:
        due, obs = joint.get(agent, (False, [0.0] * (7 if case.world.wide_odd and is_odd(agent) else 5)))
        slots.append([agent in joint, due, obs] + ([] if actions is None else [actions.get(agent, 0)]))
    return slots


def _fragment_of(evidence: Evidence, copy: int, number: int, call: int) -> int:
    """The fragment during which a copy made a call of an episode."""
    for index, fragment in enumerate(evidence.fragments):
        calls = fragment.calls[copy]
        if number < len(calls) and call <= calls[number]:
            return index
    raise AssertionError


def shipped(case: Case, evidence: Evidence, problems: list[str]) -> dict[Key, Facts]:
    """The rows that the sampler shipped. What is wrong with their form goes to ``problems``."""
    rows: dict[Key, Facts] = {}
    place_of_eps: dict[int, tuple[int, int]] = {}
    num_decisions: dict[tuple[int, int, str, int], int] = {}
    for index, fragment in enumerate(evidence.fragments):
        lives: set[tuple[int, int, str, int]] = set()
        for policy, batch in fragment.batch.policies.items():
            offsets = [int(offset) for offset in batch.offsets]
            if offsets[0] != 0 or offsets[-1] != len(batch) or sorted(set(offsets)) != offsets:
                problems.append(
                    f"fragment {index}, {policy}: offsets {offsets} do not cut {len(batch)} rows into pieces that are not empty"
                )
            for piece, (start, stop) in enumerate(itertools.pairwise(offsets)):
                previous: Facts | None = None
                life: tuple[int, int, str, int] | None = None
                for place in range(start, stop):
                    obs = bare(batch["obs"][place])
                    agent = batch.agents[int(batch["agent_index"][place])]
                    copy, number = int(obs[0]), int(obs[1])
                    eps_id = int(batch["eps_id"][place])
                    if place_of_eps.setdefault(eps_id, (copy, number)) != (copy, number):
                        problems.append(f"eps_id {eps_id} names copy {copy} episode {number} and {place_of_eps[eps_id]}")
                    key = (copy, number, agent, int(batch["life"][place]), int(batch["decision"][place]))
                    if life is not None and key[:4] != life:
                        problems.append(f"fragment {index}, {policy}, piece {piece}: rows of two lives, {life} and {key[:4]}")
                    facts = _facts(case, index, policy, batch, place, obs)
                    if case.players != "scripted" and batch["values"][place] != echo(np.array(obs[:5], np.float32)):
                        problems.append(f"{key}: the column values belongs to another row")
                    if "recurrent_state_in/count" in batch and int(batch["recurrent_state_in/count"][place]) != key[4]:
                        problems.append(f"{key}: recurrent state of count {batch['recurrent_state_in/count'][place]}")
                    if previous is not None:
                        previous.successor = obs
                        previous.joint_after = facts.joint and [slot[:3] for slot in facts.joint]
                        if previous.terminated or previous.truncated:
                            problems.append(f"{key}: a row after the end of its life")
                    if key in rows:
                        problems.append(f"{key}: shipped twice, in fragments {rows[key].fragment} and {index}")
                    rows[key] = facts
                    previous, life = facts, key[:4]
                    if key[4] != num_decisions.setdefault(life, 0):
                        problems.append(f"{key}: expected decision {num_decisions[life]} of this life")
                    num_decisions[life] += 1
                if previous is None or life is None:
                    continue
                if life in lives:
                    problems.append(f"fragment {index}, {policy}: the life {life} stands in two pieces")
                lives.add(life)
                valid = bool(batch.pieces["bootstrap_valid"][piece])
                previous.bootstrap_valid = valid
                previous.successor = bare(batch.pieces["bootstrap_obs"][piece]) if valid else None
                if previous.joint is not None and not previous.terminated and not previous.truncated:
                    previous.joint_after = _read_joint(case, batch.pieces, "bootstrap_", piece)
                if "recurrent_state_in/count" in batch and valid and not previous.terminated:
                    count = int(batch.pieces["bootstrap_recurrent_state_in/count"][piece])
                    if count != num_decisions[life]:
                        problems.append(
                            f"{life}: the piece that ends with decision {num_decisions[life] - 1} has a bootstrap state of count {count}"
                        )
    if len(set(place_of_eps.values())) != len(place_of_eps):
        problems.append(f"one episode has two eps_ids: {place_of_eps}")
    return rows


def _facts(case: Case, fragment: int, policy: str, batch: Any, place: int, obs: list[float]) -> Facts:
    parent = None
    if "parent_decision" in batch:
        index, life, decision = (int(number) for number in batch["parent_decision"][place])
        parent = (batch.agents[index], life, decision) if index >= 0 else None
    return Facts(
        fragment=fragment,
        policy=policy,
        t=int(batch["t"][place]),
        obs=obs,
        mask=[bool(bit) for bit in batch["action_mask"][place]] if "action_mask" in batch else None,
        action=int(batch["actions"][place]),
        rewards=float(batch["rewards"][place]),
        rewards_discounted=float(batch["rewards_discounted"][place]) if "rewards_discounted" in batch else None,
        env_steps=int(batch["env_steps"][place]),
        terminated=bool(batch["terminateds"][place]),
        truncated=bool(batch["truncateds"][place]),
        end_cause=END_CAUSES[int(batch["end_cause"][place])],
        weights_version=int(batch["weights_version"][place]),
        successor=None,
        bootstrap_valid=True,
        parent=parent,
        joint=_read_joint(case, batch, "", place) if case.joint and policy == "main" else None,
        joint_after=None,
    )


def _read_joint(case: Case, table: Any, prefix: str, place: int) -> list[Any]:
    slots: list[Any] = []
    start = 0
    for slot, agent in enumerate(case.world.possible):
        width = 7 if case.world.wide_odd and is_odd(agent) else 5
        seen = [float(number) for number in table[f"{prefix}joint_obs"][place][start : start + width]]
        slots.append([bool(table[f"{prefix}joint_alive"][place][slot]), bool(table[f"{prefix}joint_due"][place][slot]), seen])
        if not prefix:
            slots[-1].append(int(table["joint_actions"][place][slot]))
        start += width
    return slots


# --- the comparison -----------------------------------------------------------------------------------------------------


def disagreements(case: Case, evidence: Evidence) -> list[str]:
    """Everything in which the sampler and the oracle differ; empty if they agree to the last row."""
    problems: list[str] = []
    if len(evidence.envs) != case.copies:
        return [f"{len(evidence.envs)} environments were made for {case.copies} copies"]
    problems += _pace(case, evidence)
    episodes, expected = told(case, evidence)
    found = shipped(case, evidence, problems)
    problems += [f"{key}: lost (closed in fragment {expected[key].fragment})" for key in expected.keys() - found.keys()]
    problems += [
        f"{key}: shipped in fragment {found[key].fragment}, but there is no such closed row" for key in found.keys() - expected.keys()
    ]
    for key in expected.keys() & found.keys():
        for one in fields(Facts):
            right, seen = getattr(expected[key], one.name), getattr(found[key], one.name)
            if not _same(right, seen):
                problems.append(f"{key}: {one.name} is {seen}, expected {right}")
    problems += _finished(evidence, episodes)
    problems += _identity(evidence, episodes, found)
    return problems


def _same(right: Any, seen: Any) -> bool:
    if isinstance(right, float) and isinstance(seen, float):
        return abs(right - seen) <= 1e-5 * max(1.0, abs(right))
    return bool(right == seen)


def _pace(case: Case, evidence: Evidence) -> list[str]:
    """A fragment ends at the tick that fills it (§4.4), never between two decisions of one tick, and counts its ticks."""
    problems = []
    before = [[0] for _ in evidence.envs]
    opened = 0
    for index, fragment in enumerate(evidence.fragments):
        total = 0
        for env, done, now in zip(evidence.envs, before, fragment.calls, strict=True):
            if any(seed is None for seed in env.seeds):
                problems.append(f"copy {env.copy}: a reset without a seed")
            made = [
                ticks for number, calls in enumerate(now) for ticks in env.ticks[number][done[number] if number < len(done) else 0 : calls]
            ]
            total += sum(made)
            if index < len(case.lengths):
                last = len(now) - 1 if now[-1] else len(now) - 2  # an array-native copy has begun its next episode already
                following = env.world.episode(env.copy, last)[now[last] + 1 :]
                if made and not made[-1] and following and not following[0].elapsed:
                    problems.append(f"fragment {index}, copy {env.copy}: ends between two decisions of one tick")
                if case.complete:
                    problems += _whole(index, env, done, now, case.lengths[index])
                    continue
                ticking = [ticks for ticks in made if ticks]
                length = case.lengths[index]
                if not ticking or sum(ticking) < length or sum(ticking[:-1]) >= length:
                    problems.append(f"fragment {index}, copy {env.copy}: {made} ticks for a length of {length}")
        if fragment.batch.num_env_steps != total:
            problems.append(f"fragment {index}: num_env_steps is {fragment.batch.num_env_steps}, expected {total}")
        opened += fragment.batch.num_agent_steps
        before = fragment.calls
    decisions = 0
    for env in evidence.envs:
        decisions += env.num_answers
    if opened != decisions:
        problems.append(f"num_agent_steps sum to {opened}, but {decisions} decisions were made")
    return problems


def _whole(index: int, env: ScriptedEnv, done: list[int], now: list[int], length: int) -> list[str]:
    """A fragment of whole episodes ends at the first episode end at or after its length."""
    whole = [number for number, calls in enumerate(now) if calls]
    ticks = [sum(env.ticks[number][done[number] if number < len(done) else 0 : now[number]]) for number in whole]
    ticks = [count for number, count in zip(whole, ticks) if number >= len(done) or now[number] > done[number]]
    last = whole[-1]
    ended = now[last] == len(env.world.episode(env.copy, last)) - 1
    if not ended or sum(ticks) < length or sum(ticks[:-1]) >= length:
        return [f"fragment {index}, copy {env.copy}: episodes of {ticks} ticks for whole episodes from {length} ticks on, ended: {ended}"]
    return []


def _finished(evidence: Evidence, episodes: dict[tuple[int, int], Episode]) -> list[str]:
    """The records of finished episodes: each once, in the fragment of its end, with what it paid."""
    problems = []
    numbers: dict[int, int] = {}
    records: dict[tuple[int, int], Any] = {}
    ids: dict[int, tuple[int, int]] = {}
    for index, fragment in enumerate(evidence.fragments):
        for record in fragment.episodes:
            place = (record.env_index, numbers.setdefault(record.env_index, 0))
            numbers[record.env_index] += 1
            records[place] = record
            if ids.setdefault(record.eps_id, place) != place:
                problems.append(f"eps_id {record.eps_id} is the record of {place} and {ids[record.eps_id]}")
            episode = episodes.get(place)
            if episode is None or not episode.over:
                problems.append(f"fragment {index}: a record of {place}, which did not end")
                continue
            if _fragment_of(evidence, *place, episode.num_calls) != index:
                problems.append(f"episode {place}: recorded in fragment {index}, but it did not end there")
            for name, right in (
                ("returns", episode.returns),
                ("uncredited_reward", episode.uncredited_reward),
                ("num_uncredited_rewards", episode.num_uncredited_rewards),
            ):
                seen = getattr(record, name)
                wrong = {
                    a: (seen.get(a, 0), right.get(a, 0))
                    for a in {*seen, *right}
                    if not _same(float(right.get(a, 0)), float(seen.get(a, 0)))
                }
                if wrong:
                    problems.append(f"episode {place}: {name} (seen, expected) {wrong}")
            for name, value in (
                ("num_env_steps", episode.ticks),
                ("num_agent_steps", len(episode.rows)),
                ("seed", evidence.envs[place[0]].seeds[place[1]]),
                ("num_truncated_without_observation", sum(not row.bootstrap_valid for row in episode.rows)),
            ):
                if getattr(record, name) != value:
                    problems.append(f"episode {place}: {name} is {getattr(record, name)}, expected {value}")
            seats = {row.agent: POLICY_OF[row.agent] for row in episode.rows}
            # A seat's version is that of its first decision; an agent first seen at the very end of a fragment may name the version before.
            first = {row.agent: row.weights_version for row in reversed(episode.rows)}
            taken = {agent: seat for agent, seat in record.seats.items() if agent in seats}
            if {agent: seat[0] for agent, seat in taken.items()} != seats or any(
                first[a] - version not in (0, 2) for a, (_, version) in taken.items()
            ):
                problems.append(f"episode {place}: seats {record.seats}, expected {seats}")
    problems += [
        f"episode {place}: ended, but no record came" for place, episode in episodes.items() if episode.over and place not in records
    ]
    return problems


def _identity(evidence: Evidence, episodes: dict[tuple[int, int], Episode], found: dict[Key, Facts]) -> list[str]:
    """§4.7, against what the environment itself wrote down: rows and uncredited reward are what was paid."""
    problems = []
    credited: dict[tuple[int, int, str], float] = {}
    for (copy, number, agent, _, _), facts in found.items():
        credited[copy, number, agent] = credited.get((copy, number, agent), 0.0) + facts.rewards
    for (copy, number), episode in episodes.items():
        if not episode.over:
            continue
        for agent, paid in evidence.envs[copy].paid[number].items():
            total = credited.get((copy, number, agent), 0.0) + episode.uncredited_reward.get(agent, 0.0)
            if not _same(paid, total):
                problems.append(f"copy {copy}, episode {number}, {agent}: paid {paid}, rows and uncredited reward hold {total}")
    return problems


def show(case: Case, problems: Sequence[str]) -> str:
    """A failure's message: the case as Python, its shortest story, the disagreements."""
    listed = "\n".join(f"  {problem}" for problem in sorted(problems)[:20])
    script = "\n".join(
        f"  episode script {number}:\n" + "\n".join(f"    {place}: {call!r}" for place, call in enumerate(calls))
        for number, calls in enumerate(case.world.episodes)
    )
    return f"{len(problems)} disagreements:\n{listed}\n{script}\n{case!r}"


def equal_rows(left: dict[Key, Facts], right: dict[Key, Facts]) -> list[str]:
    """Where two samplings of one world differ, the fragment of a row aside."""
    problems = [f"{key}: only on one side" for key in left.keys() ^ right.keys()]
    for key in left.keys() & right.keys():
        for one in fields(Facts):
            if one.name != "fragment" and getattr(left[key], one.name) != getattr(right[key], one.name):
                problems.append(f"{key}: {one.name} {getattr(left[key], one.name)} and {getattr(right[key], one.name)}")
    return problems
