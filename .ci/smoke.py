"""What a person does first with an installed wheel: import, look around, train, save, load, act.

Run with ``-I`` in a folder outside the checkout, whose path is the only argument.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path


def main(checkout: Path) -> None:
    import marl
    import marl_envs
    import marl_plugins

    for package in (marl, marl_envs, marl_plugins):
        where = Path(package.__file__ or "").resolve()
        assert not where.is_relative_to(checkout / "marl"), where
        assert not where.is_relative_to(checkout / "envs"), where
        assert not where.is_relative_to(checkout / "plugins"), where
    heavy = {"torch", "ray", "networkx", "pettingzoo"} & set(sys.modules)
    assert not heavy, f"import marl loaded {heavy}"

    for group in ("marl.algorithms", "marl.adapters", "marl.envs"):
        found = entry_points(group=group)
        assert found, f"no entry point in {group}"
        for entry in found:
            entry.load()

    run = Path("run").resolve()
    trainer = marl.Trainer(
        env="gymnasium/CartPole-v1",
        policies={"default": {"algorithm": "ppo"}},
        envs_per_worker=4,
        seed=1,
        stop={"num_env_steps": 2000},
    )
    trainer.run()
    trainer.save(run)
    player = marl.load_policy(run)
    env = marl.load_env(run)
    observations, infos = env.reset(seed=0)
    (agent,) = observations
    action = player.act(observations[agent], info=infos.get(agent))
    assert env.action_spaces[agent].contains(action), action
    print("smoke: imported, listed, trained, saved, loaded and played from", Path(marl.__file__ or "").parent)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
