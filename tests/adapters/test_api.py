#!/usr/bin/env python3
"""That common/api.py is what shim/hiermoe.h declares, and does without a library, or with an old one."""
import contextlib
import ctypes
import io
import os
import re
import subprocess
import tempfile
import unittest

from fake_api import FakeApi, companion
from hiermoe_adapters.common import say

HEADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "shim", "hiermoe.h")
STRUCTS = {"hiermoe_stats_t": companion.Stats, "hiermoe_layer_t": companion.Layer, "hiermoe_api_t": companion.Table,
           "hiermoe_announcement_t": companion.Announcement, "hiermoe_layer_stats_t": companion.LayerStats}
NUMBERS = ("OPAQUE", "DISPATCH", "COMBINE", "COMBINE_BACKWARD", "DISPATCH_BACKWARD", "BYTES", "BF16", "FP16", "FP32",
           "SUM", "FILLER_UNREAD", "COPIES")


class Header(unittest.TestCase):
    def test_structs_and_numbers(self):
        with open(HEADER, encoding="utf-8") as file:
            version = int(re.search(r"define HIERMOE_API_VERSION (\d+)", file.read())[1])
        if version < companion.VERSION:
            self.skipTest("shim/hiermoe.h has version %d, without announcements" % version)
        lines = ['#include "%s"' % os.path.realpath(HEADER)]

        def holds(what):
            lines.append('_Static_assert(%s, "%s");' % (what, what))

        for name, struct in STRUCTS.items():
            holds("sizeof(%s) == %d" % (name, ctypes.sizeof(struct)))
            for field, *_ in struct._fields_:
                holds("offsetof(%s, %s) == %d" % (name, field, getattr(struct, field).offset))
                holds("sizeof(((%s *)0)->%s) == %d" % (name, field, getattr(struct, field).size))
        for number in NUMBERS:
            holds("HIERMOE_%s == %d" % (number, getattr(companion, number)))
        with tempfile.NamedTemporaryFile("w", suffix=".c") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            done = subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-fsyntax-only", file.name],
                                  capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)


class Library(unittest.TestCase):
    def test_none(self):
        self.assertIsNone(companion.load())

    def test_an_old_one_is_said_and_not_used(self):
        fake = FakeApi()
        for change in (dict(version=1), dict(size=32)):
            said = io.StringIO()
            say._said.clear()
            for name, value in change.items():
                setattr(fake.table, name, value)
            with contextlib.redirect_stderr(said):
                self.assertIsNone(companion.from_table(fake.table))
            self.assertIn("adapters are off", said.getvalue())
            fake.table.version, fake.table.size = 2, ctypes.sizeof(companion.Table)
        fake.table.size += 64  # a newer library
        self.assertIsNotNone(companion.from_table(fake.table))

    def test_functions(self):
        fake = FakeApi(allowed=6)
        self.assertEqual(fake.api.attach("megatron-core 0.19.2", 5), 6)
        self.assertEqual(fake.attached, [("megatron-core 0.19.2", 5)])
        self.assertEqual([fake.api.layer_open(key) for key in ("a", "b", "a")], [0, 1, 0])


if __name__ == "__main__":
    unittest.main()
