"""The driver of a run: samples, dispatches, learns, evaluates, saves.

``trainer``    :class:`Trainer`, what people hold
``roster``     the policies of a run: learners, frozen policies, what is added and removed
``results``    an iteration as metrics and episodes
``seats``      answering observations by hand: ``compute_actions``
``saving``     a trainer's state in and out of checkpoints
"""

from marl.trainer.roster import PolicyHandle
from marl.trainer.trainer import Trainer

__all__ = ["PolicyHandle", "Trainer"]
