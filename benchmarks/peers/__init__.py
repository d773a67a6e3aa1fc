"""Other frameworks on the same workloads, each in a virtual environment of its own; made and run by ``make bench-peers``.

The scripts here print one line of JSON a measurement and import nothing of marl but the toy game and the adapter under test.
"""
