#!/usr/bin/env python3
"""That a framework is known by the source of what the adapter relies on, and left alone otherwise."""
import importlib.util
import os
import tempfile
import unittest

import fake_api  # noqa: F401, for hiermoe_adapters
from hiermoe_adapters.common import code, sources

SOURCE = '''"""A framework."""
def all_to_all(rows):
    return rows


class Dispatcher:
    kind = "alltoall"

    @staticmethod
    def dispatch(rows):
        return all_to_all(rows)

    def combine(self, rows):
        return rows
'''


class Versions(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        found = sources.hashes(SOURCE, ["all_to_all", "Dispatcher", "Dispatcher.dispatch", "Dispatcher.combine"])
        self.table = {"made.up:" + path: {number: "1.0 1.1"} for path, (number, _) in found.items()}

    def load(self, source):
        path = os.path.join(self.folder.name, "made_%d.py" % len(os.listdir(self.folder.name)))
        with open(path, "w", encoding="utf-8") as file:
            file.write(source)
        spec = importlib.util.spec_from_file_location("made.up", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def versions(self, module):
        return sources.versions_of(self.table, {"made.up": module})

    def unknown(self, module, words):
        with self.assertRaisesRegex(sources.Unknown, words):
            self.versions(module)

    def test_known(self):
        self.assertEqual(self.versions(self.load(SOURCE)), ["1.0", "1.1"])

    def test_the_rest_of_the_module_may_change(self):
        self.versions(self.load("import os\n\n\n" + SOURCE + "\n\ndef other():\n    pass\n"))

    def test_a_changed_function(self):
        self.unknown(self.load(SOURCE.replace("return all_to_all(rows)", "return rows")), "made.up:Dispatcher is not as")

    def test_a_missing_function(self):
        self.unknown(self.load(SOURCE.replace("def all_to_all(", "def a2a(")), "made.up:all_to_all is not as")

    def test_a_replaced_function(self):
        module = self.load(SOURCE)
        module.all_to_all = lambda rows: rows
        self.unknown(module, "made.up:all_to_all was replaced")
        module = self.load(SOURCE)
        module.Dispatcher.dispatch = staticmethod(len)
        self.unknown(module, "made.up:Dispatcher was replaced")
        del module.Dispatcher.dispatch
        self.unknown(module, "made.up:Dispatcher was replaced")

    def test_functions_of_different_versions(self):
        name = "made.up:all_to_all"
        self.table[name] = {number: "2.0" for number in self.table[name]}
        self.unknown(self.load(SOURCE), "of different versions")

    def test_only_the_common_versions(self):
        name = "made.up:all_to_all"
        self.table[name] = {number: "1.1 1.2" for number in self.table[name]}
        self.assertEqual(self.versions(self.load(SOURCE)), ["1.1"])

    def test_tables_name_what_the_script_reads(self):
        from hiermoe_adapters import make_versions
        from hiermoe_adapters.deepspeed import versions as deepspeed
        from hiermoe_adapters.megatron import versions as megatron
        from hiermoe_adapters.torchtitan import versions as torchtitan
        for name, module in dict(deepspeed=deepspeed, megatron=megatron, torchtitan=torchtitan).items():
            self.assertEqual(sorted(make_versions.RELIED_ON[name]), sorted(module.TABLE), name)
            self.assertTrue(all(module.TABLE.values()), name)


class Code(unittest.TestCase):
    def test_the_number_follows_the_code(self):
        with tempfile.TemporaryDirectory() as folder:
            def write(name, text):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(text)
                return code.hash_of(folder)
            first = write("a.py", "a")
            self.assertNotEqual(first, write("b.py", ""))
            os.remove(os.path.join(folder, "b.py"))
            self.assertEqual(first, write("a.py", "a"))
            self.assertEqual(first, write("notes.md", "a"))
            self.assertNotEqual(first, write("a.py", "b"))
        self.assertTrue(0 < code.hash_of() < 2**64)


if __name__ == "__main__":
    unittest.main()
