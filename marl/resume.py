"""A worker's state on paper, and back: open episodes are rebuilt by replaying their actions.

Every open episode is saved with its seed, options, seats and actions, beside the ledger's open rows. To restore it, the
environment is reset with that seed and stepped with those actions, and what it returns is held against the hash of
everything it returned before (observations, masks, rewards, flags). Where they differ the episode is dropped and
counted. An environment that has ``get_state()/set_state()`` of its own is not replayed.

The same record, with the call that failed, is a crash capsule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from marl.episode import Episode
from marl.ledger import Ledger, Past
from marl.players import ScriptedPlayer
from marl.router import Match
from marl.seeding import generator_state, set_generator_state
from marl.wrappers.base import state_is_whole

if TYPE_CHECKING:
    from marl.acting import PolicyTable
    from marl.sampler import EnvCopy, RolloutWorker

_COPY_FIELDS = ("episode_count", "tick", "idle_ticks", "zero_tick_calls", "needs_reset", "options")
_EPISODE_FIELDS = (
    "episode_id",
    "seed",
    "env_index",
    "worker_index",
    "policies",
    "match_state",
    "user",
    "seats",
    "returns",
    "uncredited",
    "uncredited_counts",
    "life_counts",
    "num_agent_steps",
    "num_truncated_without_observation",
)


# ------------------------------------------------------------------ action logs


def pack_log(log: Sequence[Mapping[Any, Any]]) -> dict[str, Any]:
    """The actions of an episode's calls, in order, as few arrays as can be; :func:`unpack_log` gives equal dicts."""
    keys: dict[tuple[Any, ...], int] = {}
    which = np.array([keys.setdefault(tuple(call), len(keys)) for call in log], np.int32)
    by_agent: dict[Any, list[Any]] = {}
    for call in log:
        for agent, action in call.items():
            by_agent.setdefault(agent, []).append(action)
    return {
        "which": which,
        "agents": [list(key) for key in keys],
        "actions": [[agent, _pack(actions)] for agent, actions in by_agent.items()],
    }


def _pack(actions: list[Any]) -> dict[str, Any]:
    first = actions[0]
    if type(first) is int and all(type(action) is int and -(2**63) <= action < 2**63 for action in actions):
        return {"kind": "int", "values": np.array(actions, np.int64)}
    if isinstance(first, np.ndarray) and all(
        isinstance(action, np.ndarray) and action.dtype == first.dtype and action.shape == first.shape for action in actions
    ):
        return {"kind": "array", "values": np.stack(actions)}
    return {"kind": "list", "values": actions}


def unpack_log(packed: Mapping[str, Any]) -> list[dict[Any, Any]]:
    """What :func:`pack_log` was given."""
    streams = {}
    for agent, stream in packed["actions"]:
        values = stream["values"]
        streams[_as_id(agent)] = iter(values.tolist() if stream["kind"] == "int" else list(values))
    agents = [[_as_id(agent) for agent in key] for key in packed["agents"]]
    return [{agent: next(streams[agent]) for agent in agents[which]} for which in np.asarray(packed["which"]).tolist()]


def _as_id(agent: Any) -> Any:
    return tuple(agent) if isinstance(agent, list) else agent


# ------------------------------------------------------------------ saving


def worker_state(worker: RolloutWorker) -> dict[str, Any]:
    """Everything that a resumed worker needs, taken between two fragments."""
    ledger, table = worker.ledger, worker.table
    if not worker.copies:
        return {
            "started": False,
            "streams": worker.streams.state_dict(),
            "router": worker.router.state_dict(),
            "match_state": worker.match_state,
        }
    return {
        "started": True,
        "streams": worker.streams.state_dict(),
        "router": worker.router.state_dict(),
        "match_state": worker.match_state,
        "policies": policies_state(table),
        "copies": [_copy_state(copy) for copy in worker.copies],
        "ledger": ledger.state_dict(),
        "recurrent": [{name: leaf.copy() for name, leaf in state.items()} for state in table.recurrent_state],
    }


def _copy_state(copy: EnvCopy) -> dict[str, Any]:
    state: dict[str, Any] = {name: getattr(copy, name) for name in _COPY_FIELDS}
    if copy.needs_reset:
        if copy.episode_count and hasattr(copy.env, "get_state"):
            state["memory"] = copy.env.get_state()  # what lasts beyond an episode
        return state
    state["episode"] = episode_state(copy.episode)
    state["lives"] = [[agent, life] for agent, life in copy.lives.items()]
    state["due"] = list(copy.due)
    state["seen"] = sorted(copy.seen, key=repr)
    state["log"] = pack_log(copy.log)
    if copy.memory is not None:
        state["memory"] = copy.memory
    if state_is_whole(copy.env):
        state["env_state"] = copy.env.get_state()
        state["observations"] = list(copy.observations.items())
        state["infos"] = list(copy.infos.items())
    return state


def episode_state(episode: Episode) -> dict[str, Any]:
    """An open episode as data; :func:`episode_from` makes an equal one."""
    state: dict[str, Any] = {}
    for name in _EPISODE_FIELDS:
        value = getattr(episode, name)
        state[name] = [[key, one] for key, one in value.items()] if isinstance(value, dict) and name != "user" else value
    state["match"] = None if episode.match is None else asdict(episode.match)
    state["rng"] = episode.rng_state()
    return state


def episode_from(state: Mapping[str, Any]) -> Episode:
    """The episode that :func:`episode_state` described."""
    episode = Episode(
        state["episode_id"], state["seed"], state["env_index"], state["worker_index"], tuple(state["policies"]), state["match_state"]
    )
    for name in _EPISODE_FIELDS:
        value = state[name]
        if isinstance(getattr(episode, name), dict) and name != "user":
            value = {_as_id(key): tuple(one) if isinstance(one, list) else one for key, one in value}
        elif name == "policies":
            value = tuple(value)
        setattr(episode, name, value)
    episode.match = None if state["match"] is None else Match(**state["match"])
    episode.set_rng_state(state["rng"])
    return episode


# ------------------------------------------------------------------ restoring


def restore_worker(worker: RolloutWorker, state: Mapping[str, Any]) -> list[str]:
    """Bring a fresh worker to the saved state; returns why episodes were lost, one line each."""
    worker.match_state = state["match_state"]
    worker.router.load_state_dict(state["router"])
    if not state["started"]:
        worker.streams.load_state_dict(state["streams"])
        return []
    lost: list[str] = []
    dropped: list[int] = []
    players: dict[tuple[int, Any], Any] = {}  # scripted players' memories, by copy and agent
    with worker.streams:
        worker.ensure_copies()
        restore_policies(worker.table, state["policies"])
        for copy, saved in zip(worker.copies, state["copies"], strict=True):
            for name in _COPY_FIELDS:
                setattr(copy, name, saved[name])
            if copy.needs_reset:
                if "memory" in saved:
                    copy.env.set_state(saved["memory"])
                continue
            try:
                reason = _restore_copy(worker, copy, saved, state["ledger"])
            except Exception as error:  # the user's environment: whatever it raises, its episode is lost and the reason told
                reason = f"replaying it raised {type(error).__name__}: {error}"
            players.update({(copy.index, agent): worker.scripted[life] for agent, life in copy.lives.items() if life in worker.scripted})
            worker.forget_round()
            worker.scripted.clear()
            if reason:
                lost.append(f"copy {copy.index} of worker {worker.worker_index}, episode {saved['episode']['episode_id']}: {reason}")
                dropped.append(copy.index)
                if "memory" in saved:  # what the wrappers remembered before the episode that is lost
                    copy.env.set_state(saved["memory"])
    worker.ledger.load_state_dict(state["ledger"], policy_map(worker.table, state["policies"]), store_map(worker.table, state["policies"]))
    for mine, saved in zip(worker.table.recurrent_state, state["recurrent"], strict=False):
        for name, leaf in saved.items():
            mine[name] = np.array(leaf)
    for copy, saved in zip(worker.copies, state["copies"], strict=True):
        if saved["needs_reset"]:
            continue
        lives = {_as_id(agent): int(life) for agent, life in saved["lives"]}
        if copy.index in dropped:
            for life in lives.values():
                worker.ledger.drop(life)
            copy.lives, copy.due, copy.due_lives = {}, (), []
            copy.needs_reset = True
            worker.surroundings.forget(copy.index)
            continue
        copy.lives = lives
        copy.episode = episode_from(saved["episode"])
        for agent, life in lives.items():
            seated = worker.table.by_id[copy.episode.seats[agent][0]]
            if isinstance(seated.actor, ScriptedPlayer):
                if (copy.index, agent) in players:
                    worker.scripted[life] = players[copy.index, agent]
                else:
                    worker.seat_player(life, seated, copy.episode, agent, int(worker.ledger.lives.number[life]))
        copy.due = tuple(_as_id(agent) for agent in saved["due"])
        copy.due_lives = [lives[agent] for agent in copy.due]
        copy.seen = {_as_id(agent) for agent in saved["seen"]}
        for name in _COPY_FIELDS:
            setattr(copy, name, saved[name])
        copy.note_members()
        worker.note_tick(copy)
        worker.surroundings.recall(worker.ledger, copy.index, lives, copy.due)
    worker.streams.load_state_dict(state["streams"])
    return lost


def policies_state(table: PolicyTable) -> list[dict[str, Any]]:
    """Every policy that was ever seated, in order, with its generator."""
    return [
        {
            "policy_id": seated.policy_id,
            "store": seated.store,
            "rng": generator_state(seated.rng),
            "removed": seated.removed,
            "present": table.by_id.get(seated.policy_id) is seated,
        }
        for seated in table.by_index
    ]


def restore_policies(table: PolicyTable, saved: Sequence[Mapping[str, Any]]) -> None:
    """Put back the generators of the policies that are here."""
    for one in saved:
        seated = table.by_id.get(one["policy_id"]) if one["present"] else None
        if seated is not None:
            set_generator_state(seated.rng, one["rng"])
            seated.removed = bool(one["removed"])


def policy_map(table: PolicyTable, saved: Sequence[Mapping[str, Any]]) -> dict[int, tuple[int, int, bool]]:
    """Saved policy index → (index here, its store here, recorded), for those that are here."""
    found = {}
    for index, one in enumerate(saved):
        seated = table.by_id.get(one["policy_id"])
        if seated is not None and one["present"]:
            found[index] = (seated.index, seated.store, seated.record)
    return found


def store_map(table: PolicyTable, saved: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Saved store → the store here, for those that a policy of both uses."""
    return {int(one["store"]): table.by_id[one["policy_id"]].store for one in saved if one["present"] and one["policy_id"] in table.by_id}


def _restore_copy(worker: RolloutWorker, copy: EnvCopy, saved: Mapping[str, Any], ledger_state: Mapping[str, Any]) -> str:
    """Bring the copy's environment to where it was; returns why that failed, or "" where it did not."""
    missing = [seat[0] for _, seat in saved["episode"]["seats"] if seat[0] not in worker.table.by_id]
    if missing:
        return f"policy {missing[0]!r} is no longer there"
    log = unpack_log(saved["log"])
    if "env_state" in saved and not _somebody_remembers(worker.table, saved):
        copy.env.set_state(saved["env_state"])
        copy.observations = {_as_id(agent): value for agent, value in saved["observations"]}
        copy.infos = {_as_id(agent): value for agent, value in saved["infos"]}
        copy.log = log
        return ""
    if "memory" in saved:
        copy.env.set_state(saved["memory"])
        copy.memory = saved["memory"]
    episode = episode_from(saved["episode"])
    episode.life_counts, episode.returns, episode.uncredited, episode.uncredited_counts = {}, {}, {}, {}
    reason = worker.replay(copy, episode, log)
    return reason or _compare(worker.ledger, copy, saved, ledger_state)


def _somebody_remembers(table: PolicyTable, saved: Mapping[str, Any]) -> bool:
    """Whether a scripted player of the episode may remember what it saw: then only a replay shows it all of that again."""
    actors = [table.by_id[seat[0]].actor for _, seat in saved["episode"]["seats"]]
    return any(isinstance(actor, ScriptedPlayer) and actor.remembers for actor in actors)


def _compare(ledger: Ledger, copy: EnvCopy, saved: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """Whether the replayed episode is the saved one: ticks, who is due, and every life's past and open row."""
    if copy.tick != saved["tick"] or list(copy.due) != [_as_id(agent) for agent in saved["due"]]:
        was = f"it was at tick {saved['tick']} with {list(saved['due'])} due"
        return f"after replaying it is at tick {copy.tick} with {list(copy.due)} due; {was}"
    lives = {_as_id(agent): int(life) for agent, life in saved["lives"]}
    if set(lives) != set(copy.lives):
        return f"after replaying, {sorted(map(str, copy.lives))} live; it was {sorted(map(str, lives))}"
    ledger.ship()
    table, old = ledger.lives, state["lives"]
    for agent, life in lives.items():
        mine = copy.lives[agent]
        for name, what in (("hash", "what it saw and was paid"), ("count", "the number of its decisions"), ("returned", "its return")):
            if getattr(table, name)[mine] != old[name][life]:
                return f"agent {agent!r}: {what} differs from the recording"
        store, row = int(table.store[mine]), int(table.row[mine])
        for name in ledger.stores[store].layout.observed:
            if name.startswith(("obs", "action_mask")):
                now = ledger.stores[store].columns[name][row]
                then = state["stores"][int(old["store"][life])]["columns"][name][int(old["row"][life])]
                if np.asarray(now).tobytes() != np.asarray(then).tobytes():
                    return f"agent {agent!r}: its last observation differs from the recording"
    then = Past()
    then.load_state_dict(state["past"])
    if ledger.past(copy.index, copy.episode.episode_id) != then.of(copy.index, copy.episode.episode_id):
        return "what those saw and were paid whose lives ended differs from the recording"
    again, recorded = episode_state(copy.episode), saved["episode"]
    for name in ("returns", "uncredited", "uncredited_counts", "life_counts"):
        if sorted(again[name], key=repr) != sorted((list(pair) for pair in recorded[name]), key=repr):
            return f"after replaying, the episode's {name} are {again[name]}; they were {recorded[name]}"
    return ""


# ------------------------------------------------------------------ crash capsules


def capsule(copy: EnvCopy, actions: Mapping[Any, Any], error: Exception) -> dict[str, Any]:
    """An episode up to the call that failed, as data: :func:`play_capsule` runs it again."""
    log = list(copy.log)
    if actions and (not log or log[-1] is not actions):
        log.append(dict(actions))
    return {
        "env_index": copy.index,
        "worker_index": copy.episode.worker_index,
        "episode_id": copy.episode.episode_id,
        "seed": copy.episode.seed,
        "options": copy.options,
        "memory": copy.memory,
        "log": pack_log(log),
        "error": f"{type(error).__name__}: {error}",
    }


def play_capsule(env: Any, saved: Mapping[str, Any], on_call: Callable[[int, Mapping[Any, Any], Any], None] | None = None) -> None:
    """Reset ``env`` and step it as recorded; whatever it raises goes through.

    Args:
        on_call: told ``(call number, actions, what step returned)``; call 0 is the reset.
    """
    if saved["memory"] is not None:
        env.set_state(saved["memory"])
    result: Any = env.reset(seed=saved["seed"]) if saved["options"] is None else env.reset(seed=saved["seed"], options=saved["options"])
    if on_call is not None:
        on_call(0, {}, result)
    for number, actions in enumerate(unpack_log(saved["log"]), start=1):
        result = env.step(actions)
        if on_call is not None:
            on_call(number, actions, result)
