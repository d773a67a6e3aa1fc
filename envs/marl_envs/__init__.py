"""Games of our own, and the adapters of other libraries' games.

Each game stands in one file and is registered under a versioned name (entry-point group ``marl.envs``):

==================================  ==========================================  =====================================
name                                where                                       what it exercises
==================================  ==========================================  =====================================
``marl_envs/climbing-v1``           :func:`marl_envs.matrix_games.climbing`     coordination under penalties
``marl_envs/penalty-v1``            :func:`marl_envs.matrix_games.penalty`      coordination, two equal optima
``marl_envs/rock_paper_scissors-v1``  :func:`marl_envs.matrix_games.rock_paper_scissors`  zero sum, repeated
``marl_envs/two_step-v1``           :class:`marl_envs.two_step.TwoStep`         credit over two steps (QMIX)
``marl_envs/tic_tac_toe-v1``        :class:`marl_envs.tic_tac_toe.TicTacToe`    turns, action masks
``marl_envs/cartpole-v1``           :class:`marl_envs.cartpole.CartPole`        agents that end one by one
``marl_envs/pendulum-v1``           :class:`marl_envs.pendulum.Pendulum`        continuous actions, truncation
``marl_envs/corridor-v1``           :class:`marl_envs.corridor.Corridor`        one agent, or several
``marl_envs/traffic-v1``            :class:`marl_envs.traffic.Traffic`          agents that come and go
``marl_envs/toy-v1``                :class:`marl_envs.toy.Toy`                  a bare data path, for benchmarks
==================================  ==========================================  =====================================

``vector_climbing``, ``vector_penalty``, ``vector_rock_paper_scissors``, ``vector_two_step`` and
``vector_cartpole`` are the array-native forms of the same games: equal to the last bit for equal seeds
and actions. Nothing is imported before it is asked for.
"""
