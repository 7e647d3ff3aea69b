#!/usr/bin/env python3
"""That announcements say what they should, in order, on the right thread, and that handles are given back."""
import contextlib
import copy
import ctypes
import gc
import io
import pickle
import threading
import unittest

from fake_api import FakeApi, companion
from hiermoe_adapters.common import calls, say

FLAGS = (0, 0, companion.SUM, companion.COPIES, companion.SUM)
GROUP = object()


class Rows:
    """A tensor as the announcer sees it; with numbers, a map that it may read."""

    def __init__(self, *shape, dtype="torch.bfloat16", size=2, numbers=None):
        self.shape, self.dtype, self.size = shape, dtype, size
        self.numbers = (ctypes.c_int64 * len(numbers))(*numbers) if numbers is not None else None

    def element_size(self):
        return 8 if self.numbers is not None else self.size

    def numel(self):
        total = 1
        for each in self.shape:
            total *= each
        return total

    def dim(self):
        return len(self.shape)

    def data_ptr(self):
        return ctypes.addressof(self.numbers)


class Calls(unittest.TestCase):
    def setUp(self):
        say._said.clear()
        self.fake = FakeApi()
        self.announcer = calls.Announcer(self.fake.api, True)
        self.way = self.new_way()

    def new_way(self, flags=FLAGS):
        return calls.Way(self.announcer, 3, flags)

    def expect(self, roles, way, mapping=None):
        return calls.Expect(self.announcer.thread, GROUP, roles, way, mapping)

    def make(self, call):
        heard = self.fake.take()
        call.end()
        return heard

    def dispatch(self, way=None, rows=4, width=8, **shape):
        note = self.expect((calls.DISPATCH,), way or self.way, lambda rows: (Rows(4, numbers=[0, 1, 1, 2]), 3))
        heard = self.make(self.announcer.take(Rows(rows, width, **shape), lambda: 6))
        note.end()
        return heard

    def call(self, role, way, rows=6):
        note = self.expect((role,), way)
        heard = self.make(self.announcer.take(Rows(rows, 8)))
        note.end()
        return heard

    def test_a_layer_forward_and_back(self):
        heard = self.dispatch()
        self.assertEqual((heard.role, heard.layer, heard.type, heard.width, heard.rows_out, heard.rows_in),
                         ("dispatch", 3, companion.BF16, 8, 4, 6))
        self.assertEqual((heard.entries, heard.tokens), ([0, 1, 1, 2], 3))
        self.assertEqual(self.way.handle, 1)
        combine = self.call(calls.COMBINE, self.way)
        self.assertEqual((combine.handle, combine.flags, combine.rows_out, combine.rows_in), (1, companion.SUM, 6, 4))
        self.assertIsNone(self.way.map)
        back = self.call(calls.COMBINE_BACKWARD, self.way, 4)
        self.assertEqual((back.handle, back.flags, back.rows_in), (1, companion.COPIES, 6))
        self.assertEqual(self.fake.alive, [1])
        back = self.call(calls.DISPATCH_BACKWARD, self.way)
        self.assertEqual((back.handle, back.flags, back.rows_in), (1, companion.SUM, 4))
        self.assertEqual(self.fake.alive, [])

    def test_backward_again_names_no_handle(self):
        self.dispatch()
        for handle in (1, 0):
            self.assertEqual(self.call(calls.COMBINE_BACKWARD, self.way, 4).handle, handle)
            self.assertEqual(self.call(calls.DISPATCH_BACKWARD, self.way).handle, handle)
        self.assertEqual(self.fake.released, [1])

    def test_handles_die_with_their_ways(self):
        for _ in range(5):
            self.dispatch(self.new_way())
        gc.collect()
        self.assertEqual((len(self.fake.made), self.fake.alive), (5, []))

    def test_copies_have_no_dispatch_under_way(self):
        self.dispatch()
        self.assertIsNone(copy.deepcopy(self.way))
        self.assertIsNone(pickle.loads(pickle.dumps(self.way)))
        self.assertEqual(self.fake.alive, [1])

    def test_a_dispatch_that_was_not_kept(self):
        self.fake.keep = False
        self.dispatch()
        self.assertEqual(self.call(calls.COMBINE, self.way).handle, 0)
        self.assertEqual(self.fake.released, [])

    def test_more_calls_than_expected_are_opaque(self):
        note = self.expect((calls.DISPATCH,), self.way)
        roles = [self.make(self.announcer.take(Rows(4, 8))).role for _ in range(3)]
        note.end()
        self.assertEqual(roles, ["dispatch", "opaque", "opaque"])
        self.assertIsNone(self.announcer.thread.expect)

    def test_expectations_nest(self):
        outer = self.expect((calls.COMBINE,), self.way)
        inner = self.announcer.back(GROUP, (calls.DISPATCH, self.way))
        self.assertEqual(self.make(self.announcer.take(Rows(6, 8))).role, "dispatch_backward")
        inner.end()
        self.assertEqual(self.make(self.announcer.take(Rows(6, 8))).role, "combine")
        outer.end()

    def test_backward_of_backward_is_opaque(self):
        for role in (calls.OPAQUE, calls.COMBINE_BACKWARD, calls.DISPATCH_BACKWARD):
            note = self.announcer.back(GROUP, (role, self.way))
            self.assertEqual(self.make(self.announcer.take(Rows(6, 8))).role, "opaque")
            note.end()

    def test_no_map_where_none_is_wanted(self):
        self.announcer.maps = False
        self.assertEqual((self.dispatch().entries, self.fake.heard[-1].map_bytes), (None, 0))

    def test_a_map_that_fails_is_said_and_the_dispatch_announced(self):
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            for _ in range(3):
                note = self.expect((calls.DISPATCH,), self.way, lambda rows: 1 // 0)
                self.assertEqual(self.make(self.announcer.take(Rows(4, 8))).role, "dispatch")
                note.end()
        self.assertEqual(said.getvalue().count("ZeroDivisionError"), 1)

    def test_what_the_library_refuses_is_said_once(self):
        self.fake.refuse["combine"] = 2
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            for _ in range(3):
                note = self.expect((calls.COMBINE,), self.way)
                self.announcer.take(Rows(6, 8)).end()
                note.end()
        self.assertEqual(said.getvalue().count("refused to hear of a combine (-2)"), 1)

    def test_rows_that_differ_are_opaque_to_a_library_without_them(self):
        way = self.new_way((0, companion.ROWS_DIFFER, companion.SUM, companion.COPIES, 0))
        self.assertEqual(self.dispatch(way).flags, companion.ROWS_DIFFER)
        self.fake.refuse_flags = companion.ROWS_DIFFER
        heard = self.dispatch(way)
        self.assertEqual((heard.role, heard.flags, heard.map), ("opaque", 0, None))

    def test_a_way_that_turned_opaque_has_no_handle(self):
        way = self.new_way((0, companion.ROWS_DIFFER, companion.SUM, companion.COPIES, 0))
        self.fake.refuse_flags = companion.ROWS_DIFFER
        self.dispatch(way)
        self.assertEqual((self.call(calls.COMBINE, way).role, self.fake.heard[-1].handle), ("combine", 0))

    def test_types(self):
        for dtype, kind, size, width in (("torch.float32", companion.FP32, 4, 8), ("torch.float16", companion.FP16, 2, 8),
                                         ("torch.int64", companion.BYTES, 8, 64), ("torch.fp8", companion.BYTES, 1, 8)):
            heard = self.dispatch(self.new_way(), dtype=dtype, size=size)
            self.assertEqual((heard.type, heard.width), (kind, width), dtype)
        heard = self.make(self.announcer.announce(calls.COMBINE, self.way, Rows(6, 8, dtype="torch.int64", size=8)))
        self.assertEqual(heard.flags, 0)  # nobody adds bytes

    def test_shapes(self):
        for shape, width, rows in (((7,), 1, 7), ((2, 3, 5), 5, 6), ((0, 8), 8, 0), ((2, 0, 5), 5, 0)):
            heard = self.make(self.announcer.announce(calls.OPAQUE, None, Rows(*shape)))
            self.assertEqual((heard.width, heard.rows_out, heard.rows_in), (width, rows, companion.UNKNOWN), shape)

    def test_threads_expect_for_themselves(self):
        note, seen = self.expect((calls.COMBINE,), self.way), []

        def other():
            seen.append(self.announcer.thread.expect)
            seen.append(self.dispatch(self.new_way()).role)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        self.assertEqual(seen, [None, "dispatch"])
        self.assertEqual(self.make(self.announcer.take(Rows(6, 8))).role, "combine")
        note.end()


if __name__ == "__main__":
    unittest.main()
