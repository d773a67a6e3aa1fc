"""Wrappers that real users need, each small: one environment in, one environment out.

``base``              forwarding, and what a wrapper remembers
``observing``         the plumbing of observation wrappers: masks, final observations, lives
``time_limit``        TimeLimit
``frame_stack``       FrameStack
``agent_id``          AgentId
``grey_image``        GreyImage
``shared_view``       ObservationFunction: one function over all living agents' last observations
``paying``            RewardScale, RewardClip, RewardNormalize
``recording``         RecordEpisode
``specs``             from a run's ``wrappers: [{frame_stack: {n: 4}}, …]`` to wrapped environments

A run's list is applied from the inside out: the first stands nearest to the game.
"""

from marl.wrappers.agent_id import AgentId
from marl.wrappers.base import Wrapper, state_is_whole, unwrapped
from marl.wrappers.frame_stack import FrameStack
from marl.wrappers.grey_image import GreyImage
from marl.wrappers.observing import ObservationWrapper
from marl.wrappers.paying import RewardClip, RewardNormalize, RewardScale
from marl.wrappers.recording import RecordEpisode, write_gif
from marl.wrappers.shared_view import ObservationFunction
from marl.wrappers.specs import WRAPPERS, apply_wrappers, check_wrappers, wrapper_imports
from marl.wrappers.time_limit import TimeLimit

__all__ = [
    "WRAPPERS",
    "AgentId",
    "FrameStack",
    "GreyImage",
    "ObservationFunction",
    "ObservationWrapper",
    "RecordEpisode",
    "RewardClip",
    "RewardNormalize",
    "RewardScale",
    "TimeLimit",
    "Wrapper",
    "apply_wrappers",
    "check_wrappers",
    "state_is_whole",
    "unwrapped",
    "wrapper_imports",
    "write_gif",
]
