"""Groups of agents that act as one: ``with_agent_groups`` and its inverse, ``ungroup``.

A group is an agent whose observation and action are tuples over its members, and whose reward is their sum. Members come and go
one by one; who was there, who had to act and who was paid stands in ``infos[group]`` at every call:

=========================  ==========================================================================================
``individual_rewards``     list of N floats, what each member was paid by this call (0.0: nothing)
``member_alive``           bool [N], members with an open life after this call
``member_due``             bool [N], members whose action the next ``step`` needs; the other parts of the action are ignored
``member_rewards``         float64 [N], ``individual_rewards`` as an array
``member_terminateds``     bool [N], members whose life this call ended by termination
``member_truncateds``      bool [N], members whose life this call ended by truncation (never both)
``member_paid``            bool [N], members that this call's rewards named
``member_infos``           ``{member: info}`` as the environment gave them
``member_observations``    ``{member: observation}`` that were given but ask for no action (final ones)
``end_cause``, ``parent``  where the members that decide them agree
``final_observation``      the group's final observation, where it ends and begins again in one call
``final_member_alive``     bool [N], with a final observation: the members whose future was cut off, so whom a bootstrap counts
=========================  ==========================================================================================

**When a group lives.** Its life begins when a first member is due, and ends when every member has been seen and is done, or with the
episode. It is *terminated* if all its members' lives in it were, and *truncated* as soon as one was. The final observation of a
truncated group shows, for each member that was cut off, that member's own final observation, whenever it was given; if one of
them is missing, the group has none (so that nothing is bootstrapped from a blank). Within a call ends come before beginnings: if the
last survivor ends and a member begins a new life, so does the group; only where it would be cut off without a final observation, which
an agent that begins again cannot say, does its life go on.
"""

from __future__ import annotations

from marl.grouping.grouped import GroupedEnv, with_agent_groups
from marl.grouping.ungrouped import UngroupedEnv, ungroup

__all__ = ["GroupedEnv", "UngroupedEnv", "ungroup", "with_agent_groups"]
