"""marl: multi-agent and hierarchical environments, an exact data path, and trainer plugins.

Every public name loads its module when it is first used: ``import marl`` alone loads neither torch nor Ray, and almost nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "marl.algorithm": ("Algorithm", "Capabilities", "Gradients", "LearnResult", "OnPolicy", "PluginConfig", "Population", "Replay"),
    "marl.batch": ("EpisodeRecord", "MultiAgentBatch", "SampleBatch"),
    "marl.check": ("check_env",),
    "marl.checkpoint": ("load_policy",),
    "marl.config": ("RunConfig", "load_config"),
    "marl.env": ("BaseMultiAgentEnv", "EnvContext", "MultiAgentEnv", "VectorMultiAgentEnv", "VectorStep"),
    "marl.errors": (
        "CheckpointError",
        "ConfigError",
        "EnvError",
        "MarlError",
        "MaskError",
        "PluginError",
        "PolicyError",
        "RunError",
    ),
    "marl.grouping": ("ungroup", "with_agent_groups"),
    "marl.local": ("Sampler", "load_env"),
    "marl.players": ("ConstantPolicy", "Player", "RandomPolicy"),
    "marl.policy": ("Counters", "Discount", "Policy", "PolicySpec", "StackedPolicy"),
    "marl.registry": ("make_env", "register_env"),
    "marl.report.running": ("train",),
    "marl.router": ("Match",),
    "marl.trainer": ("Trainer",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, "__version__"])

if TYPE_CHECKING:
    from marl.algorithm import Algorithm as Algorithm
    from marl.algorithm import Capabilities as Capabilities
    from marl.algorithm import Gradients as Gradients
    from marl.algorithm import LearnResult as LearnResult
    from marl.algorithm import OnPolicy as OnPolicy
    from marl.algorithm import PluginConfig as PluginConfig
    from marl.algorithm import Population as Population
    from marl.algorithm import Replay as Replay
    from marl.batch import EpisodeRecord as EpisodeRecord
    from marl.batch import MultiAgentBatch as MultiAgentBatch
    from marl.batch import SampleBatch as SampleBatch
    from marl.check import check_env as check_env
    from marl.checkpoint import load_policy as load_policy
    from marl.config import RunConfig as RunConfig
    from marl.config import load_config as load_config
    from marl.env import BaseMultiAgentEnv as BaseMultiAgentEnv
    from marl.env import EnvContext as EnvContext
    from marl.env import MultiAgentEnv as MultiAgentEnv
    from marl.env import VectorMultiAgentEnv as VectorMultiAgentEnv
    from marl.env import VectorStep as VectorStep
    from marl.errors import CheckpointError as CheckpointError
    from marl.errors import ConfigError as ConfigError
    from marl.errors import EnvError as EnvError
    from marl.errors import MarlError as MarlError
    from marl.errors import MaskError as MaskError
    from marl.errors import PluginError as PluginError
    from marl.errors import PolicyError as PolicyError
    from marl.errors import RunError as RunError
    from marl.grouping import ungroup as ungroup
    from marl.grouping import with_agent_groups as with_agent_groups
    from marl.local import Sampler as Sampler
    from marl.local import load_env as load_env
    from marl.players import ConstantPolicy as ConstantPolicy
    from marl.players import Player as Player
    from marl.players import RandomPolicy as RandomPolicy
    from marl.policy import Counters as Counters
    from marl.policy import Discount as Discount
    from marl.policy import Policy as Policy
    from marl.policy import PolicySpec as PolicySpec
    from marl.policy import StackedPolicy as StackedPolicy
    from marl.registry import make_env as make_env
    from marl.registry import register_env as register_env
    from marl.report.running import train as train
    from marl.router import Match as Match
    from marl.trainer import Trainer as Trainer


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("marl-framework")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'marl' has no attribute {name!r}; its public names are marl.__all__")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
