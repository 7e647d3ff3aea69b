"""A made-up Megatron-core with the parts that the adapter hooks, over a torch that is one name, and tensors that are none.

    with megatron(source_change) as modules: ...    {name: module}, as the finder hands them to install()
"""
import contextlib
import ctypes
import importlib
import os
import sys
import tempfile
import types

import fake_api  # noqa: F401, for hiermoe_adapters

FILES = {
    "megatron/core/tensor_parallel/mappings.py": '''
import types
CALLS = []  # functions that are told of each all-to-all: (group, rows)
class Function:
    @classmethod
    def apply(cls, *args):
        ctx = types.SimpleNamespace()
        made = cls.forward(ctx, *args)
        made.ctx = ctx
        return made
class _AllToAll(Function):
    @staticmethod
    def forward(ctx, group, input, output_split_sizes, input_split_sizes):
        ctx.group, ctx.output_split_sizes, ctx.input_split_sizes = group, output_split_sizes, input_split_sizes
        for call in CALLS:
            call(group, input)
        return input.like(sum(output_split_sizes))
    @staticmethod
    def backward(ctx, *grad_output):
        return (None, _AllToAll.apply(ctx.group, *grad_output, ctx.input_split_sizes, ctx.output_split_sizes), None, None)
def all_to_all(group, input_, output_split_sizes_=None, input_split_sizes=None):
    return _AllToAll.apply(group, input_, output_split_sizes_, input_split_sizes)
''',
    "megatron/core/transformer/moe/moe_utils.py": '''
def permute(tokens):
    return tokens
def unpermute(rows):
    return rows
''',
    "megatron/core/transformer/moe/token_dispatcher.py": '''
from megatron.core.tensor_parallel.mappings import all_to_all
from megatron.core.transformer.moe.moe_utils import permute, unpermute
class MoEAlltoAllTokenDispatcher:
    def __init__(self, group, config):
        self.ep_group, self.ep_size, self.config = group, 2, config
    def dispatch_preprocess(self, tokens, mapping):
        self.hidden_shape_before_permute = tokens.shape
        self.reversed_local_input_permutation_mapping = mapping
        self.input_splits, self.output_splits = [1, mapping.shape[0] - 1], [2, 4]
        return tokens.like(mapping.shape[0]), tokens.like(mapping.shape[0], one=True)
    def token_dispatch(self, rows, probs):
        rows = all_to_all(self.ep_group, rows, self.output_splits, self.input_splits)
        return rows, all_to_all(self.ep_group, probs, self.output_splits, self.input_splits)
    def dispatch_postprocess(self, rows):
        return rows
    def combine_preprocess(self, rows):
        return rows
    def token_combine(self, rows):
        return all_to_all(self.ep_group, rows, self.input_splits, self.output_splits)
    def combine_postprocess(self, rows):
        return unpermute(rows)
''',
}


class Rows:
    """A tensor as far as hooks look at it. numbers: those of a map, in memory."""

    def __init__(self, *shape, dtype="torch.bfloat16", numbers=None):
        self.shape, self.dtype = shape, dtype
        self.numbers = (ctypes.c_int64 * len(numbers))(*numbers) if numbers is not None else None

    def like(self, rows, one=False):
        return Rows(rows, dtype="torch.float32") if one or len(self.shape) == 1 else Rows(rows, *self.shape[1:])

    def dim(self):
        return len(self.shape)

    def numel(self):
        total = 1
        for each in self.shape:
            total *= each
        return total

    def element_size(self):
        return 8 if self.numbers is not None else 2

    def is_contiguous(self):
        return True

    def is_floating_point(self):
        return self.numbers is None

    def data_ptr(self):
        return ctypes.addressof(self.numbers)


@contextlib.contextmanager
def megatron(change=lambda path, text: text, torch=None):
    from hiermoe_adapters.common import finder
    names = finder.ADAPTERS[0][2]
    with tempfile.TemporaryDirectory() as folder:
        for path, text in FILES.items():
            os.makedirs(os.path.join(folder, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
                file.write(change(path, text))
        before = dict(sys.modules)
        sys.path.insert(0, folder)
        sys.modules["torch"] = torch or types.ModuleType("torch")
        try:
            yield {name: importlib.import_module(name) for name in names}
        finally:
            sys.path.remove(folder)
            for name in set(sys.modules) - set(before):
                if name.startswith(("megatron", "hiermoe_adapters.megatron")) or name == "torch":
                    del sys.modules[name]


def table():
    """A table of versions for the made-up framework."""
    from hiermoe_adapters import make_versions
    from hiermoe_adapters.common import sources
    found = {}
    for name in make_versions.RELIED_ON["megatron"]:
        module, _, path = name.partition(":")
        text = FILES[module.replace(".", "/") + ".py"]
        found[name] = {sources.hashes(text, [path])[path][0]: "9.9"}
    return found
