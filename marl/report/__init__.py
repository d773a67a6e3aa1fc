"""What people see of a run: progress, files, a summary.

========================  ===================================================================
:mod:`.running`           a run with everything people see of it: ``marl.train``
:mod:`.following`         follow a run: display, loggers, checkpoints, the first Ctrl-C
:mod:`.progress`          one iteration in a few numbers, and as a line
:mod:`.display`           a live table, a notebook's cell, plain lines
:mod:`.loggers`           the plug point, ``progress.csv``, TensorBoard
:mod:`.event_file`        TensorBoard's file format
:mod:`.run_directory`     ``runs/<name>-<time>/``
:mod:`.summary`           how a run ended: win rates, where it lies, how to play against it
:mod:`.curve`             the learning curve as a picture
:mod:`.recording`         an episode as a GIF
:mod:`.episode_ledger`    any episode as a ledger
========================  ===================================================================
"""
