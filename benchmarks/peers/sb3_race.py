"""The race to 450 on CartPole-v1 with Stable-Baselines3 and the settings of its zoo: ``python -m benchmarks.peers.sb3_race SEED``."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import deque

import gymnasium
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from benchmarks.w4_race import BAR, MOST_ENV_STEPS, WINDOW

PLANNED_STEPS = 100_000
"""The zoo's schedules fall to zero over this many steps."""


class StopAtTheBar(BaseCallback):
    """Keeps the last episodes' returns, as its monitor reports them, and stops the run at the bar."""

    def __init__(self) -> None:
        super().__init__()
        self.returns: deque[float] = deque(maxlen=WINDOW)
        self.reached = False

    def _on_step(self) -> bool:
        self.returns.extend(info["episode"]["r"] for info in self.locals["infos"] if "episode" in info)
        self.reached = len(self.returns) == WINDOW and statistics.fmean(self.returns) >= BAR
        return not self.reached


def race(seed: int) -> dict[str, float]:
    torch.set_num_threads(1)
    assert gymnasium.spec("CartPole-v1").max_episode_steps == 500
    start = time.process_time()
    model = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=8, seed=seed),
        n_steps=32,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        n_epochs=20,
        ent_coef=0.0,
        learning_rate=lambda left: left * 1e-3,
        clip_range=lambda left: left * 0.2,
        seed=seed,
        device="cpu",
    )
    stop = StopAtTheBar()
    model.learn(min(PLANNED_STEPS, MOST_ENV_STEPS), callback=stop)
    return {"cpu_s": time.process_time() - start if stop.reached else float("inf"), "env_steps": model.num_timesteps}


if __name__ == "__main__":
    print(json.dumps(race(int(sys.argv[1]))))
