"""A finder that runs an adapter's install() as soon as the modules that it hooks were imported.

It stands first on sys.meta_path, knows the few names below, finds them by asking the finders behind it, and lets the
module's own loader load it.
"""
import importlib
import sys
from _thread import _local  # threading itself would be imported into every Python that starts

from . import say, settings

PACKAGE = __name__.rpartition(".common.")[0]
# framework, our module with install(modules), the framework's modules that must be there
ADAPTERS = (
    ("megatron", "megatron.hooks", ("megatron.core.tensor_parallel.mappings", "megatron.core.transformer.moe.moe_utils",
                                    "megatron.core.transformer.moe.token_dispatcher")),
    ("deepspeed", "deepspeed.moe_layer", ("deepspeed.moe.sharded_moe",)),
    ("deepspeed", "deepspeed.auto_ep", ("deepspeed.moe.ep_router", "deepspeed.module_inject.auto_ep_layer")),
    ("torchtitan", "torchtitan.hooks", ("torchtitan.models.moe.moe", "torchtitan.distributed.expert_parallel")),
)


class _Loader:
    """A module's own loader, with a word to the finder after it. The module never sees this one."""

    def __init__(self, finder, loader):
        self.finder, self.loader = finder, loader

    def __getattr__(self, name):
        """What others ask a loader for: get_code for python -m, get_source, get_data, resources."""
        if name in ("finder", "loader"):
            raise AttributeError(name)
        return getattr(self.loader, name)

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        self.finder.loaded(module.__spec__.name)


class Finder:
    def __init__(self, adapters):
        self.waiting = list(adapters)
        self.names = {name for _, _, names in adapters for name in names}
        self.done = set()
        self.asking = _local()

    def find_spec(self, name, path=None, target=None):
        if name not in self.names or getattr(self.asking, "name", None) == name:
            return None
        self.asking.name = name
        try:
            return self._find(name, path, target)
        finally:
            self.asking.name = None

    def _find(self, name, path, target):
        for finder in sys.meta_path:
            ask = getattr(finder, "find_spec", None)
            spec = ask(name, path, target) if finder is not self and ask is not None else None
            if spec is not None:
                if hasattr(spec.loader, "exec_module") and hasattr(spec.loader, "create_module"):
                    spec.loader = _Loader(self, spec.loader)
                return spec
        return None

    def loaded(self, name):
        """A module is there: installs the adapters for which it was the last one."""
        self.done.add(name)
        for adapter in list(self.waiting):
            _, ours, names = adapter
            if self.done.issuperset(names):
                self.waiting.remove(adapter)
                try:
                    modules = {each: sys.modules[each] for each in names}
                    importlib.import_module(PACKAGE + "." + ours).install(modules)
                except Exception as error:
                    say.once("%s is left alone: %s: %s" % (ours, type(error).__name__, error))


def install():
    """Puts a Finder on sys.meta_path for the adapters that HIERMOE_ADAPTERS names, unless there is one already."""
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    try:
        wanted = settings.wanted_here()
    except ValueError as error:
        say.once("%s; adapters are off" % error)
        return
    adapters = [adapter for adapter in ADAPTERS if adapter[0] in wanted]
    if not adapters:
        return
    finder = Finder(adapters)
    sys.meta_path.insert(0, finder)
    for name in sorted(finder.names):  # imported before us, by who starts us late
        module = sys.modules.get(name)
        if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
            finder.loaded(name)
