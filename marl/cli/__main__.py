"""``python -m marl.cli``: the command line where no script is installed."""

from marl.cli import main

main()
