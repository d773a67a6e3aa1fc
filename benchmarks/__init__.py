"""Speed, measured side by side: the bare environment, marl and its peers on the same workloads.

``python -m benchmarks run`` fills the table, ``python -m benchmarks W1`` one row of it,
``python -m benchmarks peers`` adds the peers, ``python -m benchmarks report`` writes ``docs/benchmarks.md``.
"""
