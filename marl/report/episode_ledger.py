"""Any episode printed as a ledger: call by call, who saw, who acted, and who was paid for which act.

The rows are those that the sampler ships to learners; an onlooker around the environment notes the calls. Both stand side by side, and
the sums at the end must agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium import Space

from marl.batch import EpisodeRecord, MultiAgentBatch
from marl.config.build_env import agents_of_env
from marl.env import END_CAUSES, AgentDict, ResetReturn, StepReturn
from marl.errors import EnvError
from marl.local import Sampler
from marl.wrappers import Wrapper

_TOLERANCE = 1e-9
NOTHING = object()
"""Stands where an agent saw or did nothing at a call."""


@dataclass
class Call:
    """One call of the environment, as it was seen from outside. ``number`` 0 is the reset; ``tick`` is the clock before the call."""

    number: int
    tick: int
    elapsed: int
    acted: AgentDict = field(default_factory=dict)
    paid: AgentDict = field(default_factory=dict)
    saw: AgentDict = field(default_factory=dict)
    ended: dict[Any, str] = field(default_factory=dict)


class Onlooker(Wrapper):
    """Notes every call; changes nothing."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.episodes: list[list[Call]] = []
        self._tick = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        observations, infos = self.env.reset(seed=seed, options=options)
        self._tick = 0
        self.episodes.append([Call(0, 0, 0, saw=dict(observations))])
        return observations, infos

    def step(self, actions: AgentDict, /) -> StepReturn:
        given = dict(actions)
        result: StepReturn = self.env.step(actions)
        observations, rewards, terminateds, truncateds, _ = result
        elapsed = int(getattr(self.env, "elapsed_ticks", 1))
        ended = {agent: "truncated" for agent, flag in truncateds.items() if flag}
        ended |= {agent: "terminated" for agent, flag in terminateds.items() if flag}
        calls = self.episodes[-1]
        calls.append(Call(len(calls), self._tick, elapsed, given, dict(rewards), dict(observations), ended))
        self._tick += elapsed
        return result


@dataclass(frozen=True)
class Entry:
    """One line of the ledger: one agent at one call.

    ``for_call``: the call whose act the payment belongs to; None: to no act (uncredited).
    """

    call: int
    tick: int
    agent: Any
    saw: Any
    acted: Any
    paid: float | None
    for_call: int | None
    end: str


@dataclass(frozen=True)
class Total:
    """What one agent's rows hold at the end: their sum, what belongs to no row, and what the environment paid in all."""

    agent: Any
    num_rows: int
    credited: float
    uncredited: float
    paid: float

    @property
    def balanced(self) -> bool:
        """Whether the rows and the uncredited reward are all that the environment paid."""
        return abs(self.credited + self.uncredited - self.paid) <= _TOLERANCE * max(1.0, abs(self.paid))


@dataclass(frozen=True)
class EpisodeLedger:
    """One episode: its lines, its totals, how it ended."""

    number: int
    seed: int | None
    entries: tuple[Entry, ...]
    totals: tuple[Total, ...]
    num_env_steps: int
    end: str


def episode_ledgers(env: Any, *, num_episodes: int = 1, seed: int = 0) -> list[EpisodeLedger]:
    """Play ``env`` with random legal actions and return its episodes as ledgers.

    Raises:
        EnvError: the environment is array-native, or breaks its contract on the way.
    """
    if hasattr(env, "single_observation_spaces"):
        raise EnvError(f"{type(env).__name__} is array-native; the ledger prints environments of dicts. Give the game's dict form.")
    onlooker = Onlooker(env)
    policies, mapping = _random_players(env)
    sampler = Sampler(onlooker, policies=policies, mapping=mapping, seed=seed)
    batch, records = sampler.sample(num_episodes=num_episodes)
    calls = [one for one in onlooker.episodes if len(one) > 1]
    return [_ledger(number, record, calls[number], batch) for number, record in enumerate(records[:num_episodes])]


def _random_players(env: Any) -> tuple[dict[str, dict[str, Any]], dict[Any, str]]:
    """One random player for each pair of spaces, and who plays with which."""
    known = agents_of_env(env)
    names: dict[str, str] = {}
    policies: dict[str, dict[str, Any]] = {}
    mapping: dict[Any, str] = {}
    for agent in known.agents:
        both: tuple[Space[Any], Space[Any]] | None = known.of(env, agent)
        name = names.setdefault(repr(both), f"random_{len(names)}")
        policies[name] = {"player": "random"}
        mapping[agent] = name
    if len(policies) == 1:
        mapping = {"*": next(iter(policies))}
    return (policies or {"random": {"player": "random"}}), (mapping or {"*": "random"})


def _ledger(number: int, record: EpisodeRecord, calls: Sequence[Call], batch: MultiAgentBatch) -> EpisodeLedger:
    rows = _rows_of(record.eps_id, batch)
    entries: list[Entry] = []
    alive: dict[Any, None] = {}
    for call in calls:
        over = call.ended.get("__all__", "")
        ended = {agent: over for agent in alive if over} | {agent: end for agent, end in call.ended.items() if agent != "__all__"}
        alive = {agent: None for agent in (*alive, *call.saw) if agent not in ended}
        everyone = list(dict.fromkeys([*call.acted, *call.paid, *call.saw, *ended]))
        for agent in everyone:
            paid = call.paid.get(agent)
            entries.append(
                Entry(
                    call=call.number,
                    tick=call.tick,
                    agent=agent,
                    saw=call.saw.get(agent, NOTHING),
                    acted=call.acted.get(agent, NOTHING),
                    paid=None if paid is None else float(paid),
                    for_call=None if paid is None else _paying_act(agent, call.number, rows.get(agent, []), calls),
                    end=ended.get(agent, ""),
                )
            )
    agents = list(dict.fromkeys([*record.returns, *rows]))
    totals = tuple(
        Total(
            agent,
            len(rows.get(agent, [])),
            float(sum(row["rewards"] for row in rows.get(agent, []))),
            float(record.uncredited_reward.get(agent, 0.0)),
            float(sum(call.paid.get(agent, 0.0) for call in calls)),
        )
        for agent in agents
    )
    return EpisodeLedger(number, record.seed, tuple(entries), totals, record.num_env_steps, record.end)


def _rows_of(eps_id: int, batch: MultiAgentBatch) -> dict[Any, list[dict[str, Any]]]:
    """agent → its rows of one episode, in the order of its decisions."""
    found: dict[Any, list[dict[str, Any]]] = {}
    for rows in batch.policies.values():
        for index in np.flatnonzero(rows["eps_id"] == eps_id).tolist():
            agent = rows.agents[int(rows["agent_index"][index])]
            row = {name: rows[name][index].item() for name in ("life", "decision", "t", "rewards", "end_cause")}
            found.setdefault(agent, []).append(row)
    for agent_rows in found.values():
        agent_rows.sort(key=lambda row: (row["life"], row["decision"]))
    return found


def _paying_act(agent: Any, call: int, rows: Sequence[Mapping[str, Any]], calls: Sequence[Call]) -> int | None:
    """The call of the act that a payment at ``call`` belongs to: the agent's last one, unless its life was over by then."""
    acts = [one.number for one in calls if agent in one.acted and one.number <= call]
    if not acts or len(acts) > len(rows):
        return None
    row, act = rows[len(acts) - 1], acts[-1]
    if row["end_cause"] == END_CAUSES.index("none"):
        return act
    ended = next((one.number for one in calls[act:] if agent in one.ended or "__all__" in one.ended), calls[-1].number)
    return act if call <= ended else None


# ------------------------------------------------------------------ printing


def ledger_table(ledger: EpisodeLedger) -> Any:
    """A rich table: one line for each agent and call."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim", title=f"episode {ledger.number}, seed {ledger.seed}", title_justify="left")
    for heading in ("call", "tick", "agent", "acts", "is paid", "for its act of", "sees", "ends"):
        table.add_column(heading, no_wrap=heading not in ("sees", "acts"), overflow="ellipsis")
    last = -1
    for entry in ledger.entries:
        first_of_call = entry.call != last
        last = entry.call
        label = "reset" if entry.call == 0 else str(entry.call)
        table.add_row(
            label if first_of_call else "",
            str(entry.tick) if first_of_call and entry.call else "",
            escape(str(entry.agent)),
            escape(shown(entry.acted)),
            "" if entry.paid is None else f"{entry.paid + 0.0:g}",  # no -0
            "" if entry.paid is None else "no act (uncredited)" if entry.for_call is None else f"call {entry.for_call}",
            escape(shown(entry.saw)),
            entry.end,
        )
    return table


def totals_table(ledger: EpisodeLedger) -> Any:
    """A rich table of the sums, which must agree."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim")
    for heading in ("agent", "rows", "in rows", "in no row", "paid by the environment", ""):
        table.add_column(heading, justify="left" if heading in ("agent", "") else "right")
    for total in ledger.totals:
        mark = "=" if total.balanced else "[bold red]≠ the ledger does not balance[/bold red]"
        sums = [f"{one:g}" for one in (total.credited, total.uncredited, total.paid)]
        table.add_row(escape(str(total.agent)), str(total.num_rows), *sums, mark)
    return table


def shown(value: Any, limit: int = 48) -> str:
    """An observation or action in few characters."""
    if value is NOTHING:
        return ""
    if isinstance(value, Mapping):
        return " ".join(f"{key}={shown(one, limit)}" for key, one in value.items())
    if isinstance(value, tuple):
        return f"({', '.join(shown(one, limit) for one in value)})"
    array = np.asarray(value)
    if array.dtype == object or array.ndim == 0:
        return f"{array.item():.4g}" if array.dtype.kind == "f" else str(value)
    if array.size <= 24:
        text = " ".join(f"{one:.3g}" if array.dtype.kind == "f" else str(int(one)) for one in array.reshape(-1).tolist())
        if len(text) <= limit:
            return f"[{text}]"
    return f"{array.dtype}{list(array.shape)}"
