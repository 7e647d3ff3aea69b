"""Lines to standard error: one for each thing worth saying, and nothing that could raise into the job."""
import os
import sys

_said = set()


def once(text):
    """Writes a line, unless this process wrote it before."""
    if text in _said:
        return
    _said.add(text)
    try:
        sys.stderr.write("hiermoe: adapters: " + text + "\n")
        sys.stderr.flush()
    except Exception:  # closed, or None: nobody can be told
        pass


def info(text):
    """The same, where HIERMOE_DEBUG asks for more than warnings."""
    if os.environ.get("HIERMOE_DEBUG", "").strip().upper() in ("INFO", "TRACE"):
        once(text)


def trouble(where, error):
    """An exception inside an adapter, which the job must not see."""
    once("%s failed (%s: %s); the calls concerned are left to be compared byte by byte"
         % (where, type(error).__name__, error))
