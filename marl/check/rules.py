"""The rules of the environment's contract that a check can see broken, each with what is expected and how to mend it."""

from __future__ import annotations

from typing import NamedTuple

from marl.env import END_CAUSES


class Rule(NamedTuple):
    """What is expected, and how to mend it."""

    expected: str
    mend: str


RULES: dict[str, Rule] = {
    # -- what it is
    "not-an-environment": Rule(
        "an object with reset() and step()", "pass an instance; marl.make_env makes one of a name, a class, PettingZoo or Gymnasium"
    ),
    "missing-possible-agents": Rule("possible_agents: a list of ids, each once", "set self.possible_agents in __init__"),
    "missing-spaces": Rule(
        "a gymnasium space for each agent",
        "set observation_spaces and action_spaces, or define observation_space(agent) and action_space(agent)",
    ),
    "unsupported-action-space": Rule("Discrete, MultiDiscrete, MultiBinary, Box, Dict or Tuple", "state the actions as one of these"),
    "spaces-changed": Rule("the same spaces in every episode", "state the largest space once, and use masks or padding"),
    # -- reset
    "reset-arguments": Rule("reset(*, seed=None, options=None)", "let reset take both keywords"),
    "reset-return": Rule("(observations, infos), two dicts", "return both; infos may be {}"),
    "reset-not-seeded": Rule(
        "the same first observations from the same seed",
        "draw only from a generator made in reset: self.rng = np.random.default_rng(seed); never from np.random or random",
    ),
    # -- step
    "step-return": Rule(
        "(observations, rewards, terminateds, truncateds, infos), five dicts", "return all five, {} where there is nothing to say"
    ),
    "environment-raised": Rule("no exception for legal actions of all due agents", "see the traceback above; the walk stopped there"),
    "needs-absent-action": Rule(
        "actions of the due agents alone", "read only the actions that are in the dict; an agent that is not due has none"
    ),
    "action-changed": Rule("actions left as they are", "copy an action before changing it in place"),
    "not-deterministic": Rule(
        "the same from the same seed and actions, whatever other programs draw from global generators",
        "draw only from a generator made in reset from its seed; set back all that an episode changes",
    ),
    "reserved-id": Rule("'__all__' only in terminateds and truncateds", "remove it from this dict"),
    # -- observations
    "observation-structure": Rule("a value of its space", "return what the space says, or correct the space"),
    "observation-shape": Rule("the shape of its space", "return what the space says, or correct the space"),
    "observation-dtype": Rule("the dtype of its space", "convert with .astype, or correct the space's dtype"),
    "observation-bounds": Rule("values within low and high", "clip, or widen the space"),
    "observation-not-finite": Rule("finite numbers", "look for a division by zero, or a value that was never set"),
    "observation-unknown-agent": Rule(
        "ids of possible_agents, or ids whose spaces can be asked for", "correct the id, or state its spaces"
    ),
    "observation-for-done-agent": Rule(
        "no observation for an agent that is done", "leave the agent out once its end was said; unset its flag if it comes back"
    ),
    "observation-reused": Rule("arrays that stay as they were handed out", "return a copy: observation.copy()"),
    # -- masks
    "mask-size": Rule("an entry for each choice of the action space", "make the mask as long as the action space has choices"),
    "mask-dtype": Rule("bool, or integers 0 and 1", "use dtype bool or int8"),
    "mask-values": Rule("0 and 1 alone", "use 1 for a legal action and 0 for any other"),
    "mask-all-zero": Rule(
        "a legal action for an agent that is due", "allow at least one action, or leave the agent out of the observations"
    ),
    # -- rewards
    "reward-unknown-agent": Rule("ids of possible_agents, or ids that were observed", "correct the id"),
    "reward-not-a-number": Rule("a number", "return a float"),
    "reward-not-finite": Rule("a finite number", "look for a division by zero, or a value that was never set"),
    # -- ends
    "flag-unknown-agent": Rule("ids of possible_agents, or ids that were observed, or '__all__'", "correct the id"),
    "flag-not-bool": Rule("True or False", "convert with bool(...)"),
    "both-flags": Rule(
        "terminated or truncated, not both",
        "set truncated only if the agent did not terminate (terminated is what counts where both are set)",
    ),
    "missing-all": Rule(
        "an end of the episode once nobody is left",
        "set terminateds['__all__'] or truncateds['__all__'] in that step (an agent of possible_agents may still come otherwise)",
    ),
    "no-final-observation": Rule(
        "the last observation of an agent that is cut off",
        "put it into the observations of that step, or into infos[agent]['final_observation']",
    ),
    "agents-attribute": Rule(
        "`agents` empty only when the episode is over", "keep the live agents in self.agents, or do without this attribute"
    ),
    # -- time
    "elapsed-ticks": Rule("an int, 0 or more", "set self.elapsed_ticks to the ticks that the last step took"),
    "next-call-is-decision": Rule("next_call_is_decision exactly before a call of zero ticks", "set both attributes in the same place"),
    "zero-tick-loop": Rule("time to pass within 1,000 calls", "return elapsed_ticks >= 1 when the game itself advances"),
    "idle-too-long": Rule("somebody to act within max_idle_ticks", "observe who must act, end the episode, or raise max_idle_ticks"),
    # -- infos and states
    "info-not-dict": Rule("a dict for each agent", "return {} where there is nothing to say"),
    "info-unknown-agent": Rule("ids of possible_agents, or ids that were observed", "correct the id"),
    "info-end-cause": Rule(f"one of {', '.join(END_CAUSES[1:])}", "use one of these words, or leave it out"),
    "info-parent": Rule("the id of a known agent", "correct the id"),
    "critic-obs-shape": Rule("one shape for all critic_obs of an agent", "pad to the largest"),
    "global-state-shape": Rule("one shape for all global states", "pad to the largest"),
    "global-state-space": Rule("a value of its space", "correct the state, or global_state_space"),
    "global-state-raised": Rule("a state after every reset and step", "see the traceback above"),
    # -- array-native environments
    "vector-members": Rule(
        "num_envs, slots, single_observation_spaces and single_action_spaces, reset and step", "see marl.env.VectorMultiAgentEnv"
    ),
    "vector-return": Rule("a marl.env.VectorStep", "return one from reset and from step"),
    "vector-shape": Rule("[E, A, ...] for slots, [E] for copies", "see marl.env.VectorStep"),
    "vector-dtype": Rule("bool flags, integer ticks and causes, real rewards", "see marl.env.VectorStep"),
    "vector-final-observation": Rule(
        "final_obs and final_mask where a slot is truncated", "write the last observation there before the copy resets"
    ),
    "vector-reset": Rule(
        "the first observations of the next episode, from next_seeds, where episode_ended",
        "reset copy e with next_seeds[e] in the same step",
    ),
    "vector-episode-end": Rule("a flag for every living slot where episode_ended", "write the end out for each slot"),
    "vector-new-life": Rule("new_life exactly where a life begins", "set it at each slot's first observation, after a reset too"),
    "vector-ends": Rule("ends of living slots alone", "clear both flags where a slot does not live"),
    "vector-still": Rule("inactive copies to stand still: no change, no reward, no flag, no tick", "skip them; or say can_hold = False"),
    "vector-copies": Rule("copies that do not touch each other", "reset and step each copy from its own seed and actions alone"),
}
