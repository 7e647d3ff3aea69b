"""hiermoe ab: runs a job plain and with the library, in turns, and says what that changed.

command.py    the way through: options, runs, verdict, exit status
options.py    the command line
schedule.py   which kind of run comes when, and how long the rest will take
runner.py     one run: its files, its end
preload.py    the library and the environment of either kind
formats.py    step times, losses and gradient norms in the output of frameworks
digits.py     are losses and gradient norms equal in every digit?
wires.py      bytes that the kernel, InfiniBand and NVLink counted
interval.py   speedup, confidence interval and verdict
summary.py    all of it as one object (--json)
show.py       the same as text, markdown and HTML
row.py        the same as a line of tests/results/jobs.jsonl
"""
