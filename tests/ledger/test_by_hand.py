"""The ledger fed by hand, with no environment in sight: two turns, the loser paid on the winner's move."""

from __future__ import annotations

import numpy as np

from marl.ledger import TERMINATED, Layout, Ledger
from marl.policy import Discount

SCALAR = ((), np.dtype(np.float32))
CHOICE = ((), np.dtype(np.int64))


def test_a_game_of_two_turns() -> None:
    ledger = Ledger([Layout(observed={"obs": SCALAR}, acted={"actions": CHOICE})], [Discount()])
    lives = {}
    for tick, (agent, seen) in enumerate((("loser", 1.0), ("winner", 2.0))):
        lives[agent] = ledger.begin(agent)
        rows = ledger.observe(0, np.array([lives[agent]]), tick)
        ledger.stores[0].columns["obs"][rows] = seen
        ledger.act(0, rows, np.array([tick]), {}, version=3)
    both = np.array([lives["loser"], lives["winner"]])
    ledger.pay(both, np.array([-1.0, 1.0]), 1)
    for life in both.tolist():
        ledger.end(life, TERMINATED, tick=2)
    (batch,) = ledger.ship().values()
    rows_of = {batch.agents[index]: row for row, index in enumerate(batch["agent_index"])}
    assert [batch["rewards"][rows_of[agent]] for agent in ("loser", "winner")] == [-1.0, 1.0]
    assert [batch["env_steps"][rows_of[agent]] for agent in ("loser", "winner")] == [2, 1]
    assert batch["terminateds"].all()
    assert batch["weights_version"].tolist() == [3, 3]
    assert batch.pieces["bootstrap_valid"].all()
    assert ledger.ship() == {}
