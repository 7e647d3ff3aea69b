"""hiermoe report: statistics of all ranks folded into one page.

command.py    the command line and exit status
lines.py      lines of HIERMOE_STATS_FILE, and their sums
advice.py     reasons for which calls were left alone, and what to do
sections.py   what there is to say, each section only where it has data
svg.py        charts
page.py       sections as HTML and as text
"""
