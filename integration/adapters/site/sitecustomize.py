"""Put this folder first in PYTHONPATH: every Python that starts then loads the adapters by itself.

The sitecustomize that this one hides runs after it, with what it would have done to the process.
"""
import os
import sys

import hiermoe_site  # never raises


def _others():
    """The path without the folders that hold this file, however they are written."""
    here = os.path.realpath(os.path.dirname(os.path.abspath(__file__)))
    return [folder for folder in sys.path if os.path.realpath(os.path.abspath(folder or os.curdir)) != here]


def _run_hidden():
    if sys.version_info < (3, 5):
        import imp
        try:
            file, path, kind = imp.find_module("sitecustomize", _others())
        except ImportError:
            return
        imp.load_module("sitecustomize", file, path, kind)
        return
    from importlib import machinery
    spec = machinery.PathFinder.find_spec("sitecustomize", _others())
    if spec is None or spec.loader is None:
        return
    from importlib import util
    module = util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module  # import hands this one out
    spec.loader.exec_module(module)


_run_hidden()
