"""Starts the adapters of the folder above: once, and without ever raising. Any Python from 2.7 on may import this."""
import os
import sys


def start():
    if "hiermoe_adapters" in sys.modules or sys.version_info < (3, 8):
        return
    if os.environ.get("HIERMOE_ADAPTERS", "").strip().lower() == "off":
        return
    import types
    package = types.ModuleType("hiermoe_adapters")
    # The folder is the package. It has a name of its own, since folders in it are named like the frameworks: were its
    # parent on sys.path, they would be imported instead of them.
    package.__path__ = [os.path.dirname(os.path.dirname(os.path.realpath(__file__)))]
    sys.modules["hiermoe_adapters"] = package
    from hiermoe_adapters.common import finder
    finder.install()


try:
    start()
except Exception as error:
    try:
        sys.stderr.write("hiermoe: adapters are off: %s: %s\n" % (type(error).__name__, error))
    except Exception:
        pass
