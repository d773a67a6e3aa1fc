"""``python -m benchmarks run [W1 …] [--quick] [--pin]``: the speed table, one fresh process a workload.

``python -m benchmarks W1`` does one workload in this process; ``peers [W1 …]`` puts other frameworks beside it; ``report`` writes the docs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy or torch read it

from benchmarks.measure import CHECKOUT, Options, pin, write

WORKLOADS = {
    "W1": "benchmarks.w1_simple_spread",
    "W2": "benchmarks.w2_tictactoe",
    "W3": "benchmarks.w3_four_cartpoles",
    "W4": "benchmarks.w4_single_agent",
    "W4race": "benchmarks.w4_race",
    "W5": "benchmarks.w5_many_agents",
    "process": "benchmarks.process",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", help=f"run, peers or report, and workloads: {', '.join(WORKLOADS)}")
    parser.add_argument("--quick", action="store_true", help="two rounds, nothing written: does it run at all?")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of taking turns (default 15)")
    parser.add_argument("--pin", type=int, metavar="CORE", default=None, help="stay on one core")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    command, *names = given.what
    if command in WORKLOADS:
        command, names = "here", given.what
    if command not in ("here", "run", "peers", "report"):
        parser.error(f"{command!r} is neither run, peers, report nor a workload ({', '.join(WORKLOADS)})")
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        parser.error(f"no workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    if given.pin is not None:
        pin(given.pin)
    options = Options(rounds=2 if given.quick else given.rounds, quick=given.quick, seed=given.seed)

    if command == "report":
        from benchmarks.report import write_report

        write_report()
    elif command == "peers":
        from benchmarks.peers.side_by_side import compare

        compare(names, options)
    elif command == "run":
        for name in names or WORKLOADS:
            flags = ["--rounds", str(options.rounds), "--seed", str(options.seed), *(["--quick"] if options.quick else [])]
            done = subprocess.run([sys.executable, "-m", "benchmarks", name, *flags], cwd=CHECKOUT, check=False)
            if done.returncode:
                sys.exit(f"{name} ended with {done.returncode}")
    else:
        import torch

        torch.set_num_threads(1)
        for name in names:
            module = importlib.import_module(WORKLOADS[name])
            write(name, module.rows(options), command=f"python -m benchmarks {name}", quick=options.quick)


if __name__ == "__main__":
    main()
