#!/usr/bin/env python3
"""Megatron's hooks over a made-up Megatron: what they announce, what they leave alone, and that they never raise."""
import contextlib
import gc
import io
import threading
import types
import unittest

import stubs
from fake_api import FakeApi, companion
from hiermoe_adapters.common import say, start

GROUP = types.SimpleNamespace()
CONFIG = types.SimpleNamespace(moe_permute_fusion=False)


class Hooks(unittest.TestCase):
    def setUp(self):
        say._said.clear()
        self.fake = FakeApi()
        self.said = io.StringIO()
        loaded, companion.load = companion.load, lambda: self.fake.api
        self.addCleanup(setattr, companion, "load", loaded)
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        stack.enter_context(contextlib.redirect_stderr(self.said))
        self.enter = stack.enter_context

    def install(self, change=lambda path, text: text, before=lambda modules: None, torch=None):
        """The made-up module of dispatchers, hooked if the adapter likes it."""
        modules = self.enter(stubs.megatron(change, torch))
        before(modules)
        from hiermoe_adapters.megatron import hooks, versions
        versions.TABLE = stubs.table()
        hooks.install(modules)
        self.mappings, self.module = modules["megatron.core.tensor_parallel.mappings"], modules[hooks.DISPATCHER]
        self.calls = []
        self.mappings.CALLS.append(lambda group, rows: self.calls.append((group, self.fake.take())))
        return self.module

    def roles(self):
        return [heard.role if heard is not None else None for _, heard in self.calls]

    def forward(self, dispatcher, mapping=(0, 2, 1, 0)):
        rows, probs = dispatcher.dispatch_preprocess(stubs.Rows(3, 8), stubs.Rows(len(mapping), numbers=mapping))
        rows, probs = dispatcher.token_dispatch(rows, probs)
        return rows, probs, dispatcher.token_combine(dispatcher.combine_preprocess(rows))

    def backward(self, rows, probs, combined):
        for made, gradient in ((combined, combined.like(4)), (probs, probs.like(6)), (rows, rows.like(6))):
            self.mappings._AllToAll.backward(made.ctx, gradient)

    def new(self, module):
        return module.MoEAlltoAllTokenDispatcher(GROUP, CONFIG)

    def test_a_layer(self):
        dispatcher = self.new(self.install())
        self.assertEqual(self.fake.attached[0][0], "megatron-core 9.9")
        made = self.forward(dispatcher)
        self.assertEqual(self.roles(), ["dispatch", "opaque", "combine"])
        dispatch, probs, combine = (heard for _, heard in self.calls)
        self.assertEqual((dispatch.entries, dispatch.tokens, dispatch.rows_in, dispatch.layer), ([0, 2, 1, 0], 3, 6, 0))
        self.assertEqual((probs.type, probs.width, probs.layer), (companion.FP32, 1, -1))
        self.assertEqual((combine.handle, combine.flags, combine.layer), (1, companion.SUM, 0))
        self.backward(*made)
        self.assertEqual(self.roles()[3:], ["combine_backward", "opaque", "dispatch_backward"])
        self.assertEqual([heard.handle for _, heard in self.calls[3:]], [1, 0, 1])
        self.assertEqual((self.fake.released, self.said.getvalue()), ([1], ""))

    def test_two_passes_at_a_time(self):
        first, second = (self.new(module) for module in [self.install()] * 2)
        passes = [self.forward(each) for each in (first, second, first, second)]
        self.assertEqual(self.fake.layers, ["megatron.moe.0", "megatron.moe.1"])
        for number in (2, 0, 3, 1):
            self.calls.clear()
            self.backward(*passes[number])
            self.assertEqual({heard.handle for _, heard in self.calls if heard.role != "opaque"}, {number + 1})
            self.assertEqual({heard.layer for _, heard in self.calls if heard.role != "opaque"}, {number % 2})
        self.assertEqual(self.fake.released, [3, 1, 4, 2])

    def test_no_backward(self):
        dispatcher = self.new(self.install())
        for _ in range(3):
            self.forward(dispatcher)
        gc.collect()
        self.assertEqual((len(self.fake.made), self.fake.alive), (3, []))

    def test_backward_on_another_thread(self):
        made = self.forward(self.new(self.install()))
        thread = threading.Thread(target=self.backward, args=made)
        thread.start()
        thread.join()
        self.assertEqual(self.roles()[3:], ["combine_backward", "opaque", "dispatch_backward"])

    def test_other_groups_are_not_announced(self):
        dispatcher = self.new(self.install())
        self.mappings.all_to_all(GROUP, stubs.Rows(4, 8), [4], [4])  # outside of a dispatcher
        self.assertEqual(self.roles(), [None])
        self.calls.clear()
        other = types.SimpleNamespace()

        def inside(group, rows):  # a call on another group, within the dispatcher's own method
            if group is GROUP:
                self.mappings.all_to_all(other, stubs.Rows(4, 8), [4], [4])

        self.mappings.CALLS.append(inside)
        self.forward(dispatcher)
        self.assertEqual(self.roles(), ["dispatch", None, "opaque", None, "combine", None])
        self.assertEqual([group is other for group, _ in self.calls], [False, True] * 3)

    def test_a_lone_rank_is_not_announced(self):
        dispatcher = self.new(self.install())
        dispatcher.ep_size = 1
        self.forward(dispatcher)
        self.assertEqual(self.roles(), [None] * 3)

    def test_a_combine_after_another_dispatch_is_opaque(self):
        dispatcher = self.new(self.install())
        rows, probs, _ = self.forward(dispatcher)
        dispatcher.token_dispatch(stubs.Rows(4, 8), stubs.Rows(4))
        dispatcher.reversed_local_input_permutation_mapping = stubs.Rows(4, numbers=[0, 0, 0, 0])
        self.calls.clear()
        dispatcher.token_combine(rows)
        dispatcher.token_combine(rows)
        self.assertEqual(self.roles(), ["opaque", None])

    def test_a_map_that_does_not_fit_is_not_handed_over(self):
        dispatcher = self.new(self.install())
        rows, probs = dispatcher.dispatch_preprocess(stubs.Rows(3, 8), stubs.Rows(4, numbers=[0, 1, 2, 0]))
        for odd in (stubs.Rows(3, numbers=[0, 1, 2]), stubs.Rows(2, 2, numbers=[0, 1, 2, 0]), stubs.Rows(4), None):
            dispatcher.reversed_local_input_permutation_mapping = odd
            dispatcher.token_dispatch(rows, probs)
            self.assertEqual((self.calls[-2][1].role, self.calls[-2][1].entries), ("dispatch", None))

    def test_other_code_is_left_alone(self):
        module = self.install(lambda path, text: text.replace("return unpermute(rows)", "return 2 * unpermute(rows)"))
        self.forward(self.new(module))
        self.assertEqual((self.roles(), self.fake.attached), ([None] * 3, []))
        self.assertIn("megatron-core is left alone: megatron.core.transformer.moe.token_dispatcher:"
                      "MoEAlltoAllTokenDispatcher.combine_postprocess is not as in any version", self.said.getvalue())

    def test_replaced_code_is_left_alone(self):
        def replace(modules):
            modules["megatron.core.transformer.moe.moe_utils"].permute = len
        self.forward(self.new(self.install(before=replace)))
        self.assertEqual(self.roles(), [None] * 3)
        self.assertIn("permute was replaced by other code", self.said.getvalue())

    def test_code_that_is_replaced_later_is_left_alone(self):
        module = self.install()
        dispatcher = self.new(module)
        plain, module.unpermute = module.unpermute, lambda rows: rows
        self.forward(dispatcher)
        self.assertEqual(self.roles(), [None] * 3)
        module.unpermute = plain
        self.forward(dispatcher)
        self.assertEqual(self.roles()[3:], ["dispatch", "opaque", "combine"])

    def test_a_class_of_ones_own_is_left_alone(self):
        module = self.install()

        class Own(module.MoEAlltoAllTokenDispatcher):
            def combine_postprocess(self, rows):
                return rows

        class Other(module.MoEAlltoAllTokenDispatcher):
            def more(self):
                pass

        self.forward(Own(GROUP, CONFIG))
        self.forward(Other(GROUP, CONFIG))
        self.assertEqual(self.roles(), [None] * 3 + ["dispatch", "opaque", "combine"])

    def test_hooks_that_fail_are_not_noticed(self):
        module = self.install()
        hooks = module.MoEAlltoAllTokenDispatcher.token_dispatch.hiermoe_begin.__self__
        dispatcher = self.new(module)
        plain = self.forward(dispatcher)

        def broken(*args, **kwargs):
            raise RuntimeError("broken")

        for name in ("announce", "settle", "take"):
            hooks.announcer.__dict__[name] = broken
            got = self.forward(dispatcher)
            self.backward(*got)
            self.assertEqual([each.shape for each in got], [each.shape for each in plain])
            del hooks.announcer.__dict__[name]
        del dispatcher.ep_size
        self.forward(dispatcher)
        self.assertIn("RuntimeError: broken", self.said.getvalue())
        self.assertIn("AttributeError", self.said.getvalue())
        self.assertIsNone(hooks.thread.expect)

    def test_calls_that_raise_raise_as_ever(self):
        dispatcher = self.new(self.install())

        def refuse(group, rows):
            raise ValueError("from the job")

        self.mappings.CALLS.append(refuse)
        with self.assertRaisesRegex(ValueError, "from the job"):
            self.forward(dispatcher)
        self.assertIsNone(self.fake.now())  # settled all the same
        self.mappings.CALLS.remove(refuse)
        self.calls.clear()
        self.forward(dispatcher)
        self.assertEqual(self.roles(), ["dispatch", "opaque", "combine"])

    def test_compiled_code_is_left_alone(self):
        compiling = []
        torch = types.ModuleType("torch")
        torch.compiler = types.SimpleNamespace(is_compiling=lambda: bool(compiling))
        dispatcher = self.new(self.install(torch=torch))
        compiling.append(1)
        self.forward(dispatcher)
        compiling.clear()
        self.forward(dispatcher)
        self.assertEqual(self.roles(), [None] * 3 + ["dispatch", "opaque", "combine"])

    def test_without_a_library_nothing_is_replaced(self):
        companion.load = lambda: None
        self.assertFalse(hasattr(self.install().MoEAlltoAllTokenDispatcher.token_dispatch, "hiermoe_begin"))
        self.assertEqual(self.said.getvalue(), "")

    def test_names_of_many_versions(self):
        announcer = None
        modules = self.enter(stubs.megatron())
        for versions, name in (("1.0", "x 1.0"), ("1.0 1.1 2.0", "x 1.0..2.0")):
            table = {key: {number: versions for number in hashes} for key, hashes in stubs.table().items()}
            announcer = start.begin("x", table, modules)
            self.assertEqual(self.fake.attached[-1][0], name)
        self.assertTrue(announcer.maps)
        self.fake.allowed = 0
        self.assertFalse(start.begin("x", stubs.table(), modules).maps)


if __name__ == "__main__":
    unittest.main()
