#!/usr/bin/env python3
"""That a Python with site/ first in PYTHONPATH behaves as without it, and installs adapters when their modules come."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from fake_api import ADAPTERS

SITE = os.path.join(os.path.realpath(ADAPTERS), "site")
STARTED = "import sys; print(any(type(finder).__name__ == 'Finder' for finder in sys.meta_path))"
# Instead of the adapters of frameworks: one that tells what it was given.
TELLS = """
from hiermoe_adapters.common import finder
import sys, types
ours = types.ModuleType("hiermoe_adapters.made_up")
def install(modules):
    print("installed", sorted(modules), sorted(vars(modules["made.up"]))[-1])
    {more}
ours.install = install
sys.modules["hiermoe_adapters.made_up"] = ours
finder.ADAPTERS = (("megatron", "made_up", ("made.up", "made.other")),)
sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, finder.Finder)]
{before}
finder.install()
{after}
"""


class Site(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, path, text):
        path = os.path.join(self.folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run_python(self, code, *flags, site=SITE, path=(), python=sys.executable, **variables):
        """(standard output, standard error) of a Python that ended well."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HIERMOE", "PYTHON"))}
        environment.update(PYTHONPATH=os.pathsep.join([site, *path]), PYTHONDONTWRITEBYTECODE="1", **variables)
        done = subprocess.run([python, *flags, "-c", code], capture_output=True, text=True, env=environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip(), done.stderr.strip()

    def made_up(self):
        self.write("made/__init__.py", "")
        self.write("made/up.py", "import made.other\nhere = __spec__.loader.get_source(__name__) is not None\nz_last = 1\n")
        self.write("made/other.py", "")
        return self.folder

    # What looks at a module without importing it.

    def test_a_modules_spec_tells_what_its_own_loader_does(self):
        path = self.made_up()
        tells = TELLS.format(before="", after="import importlib.util\n"
                             "loader = importlib.util.find_spec('made.up').loader\n"
                             "print(loader.get_code('made.up').co_name, loader.is_package('made.up'))", more="pass")
        self.assertEqual(self.run_python(tells, path=[path]), ("<module> False", ""))

    # What starts.

    def test_starts(self):
        for setting in ("auto", "AUTO", " ", "megatron", "torchtitan, DeepSpeed"):
            self.assertEqual(self.run_python(STARTED, HIERMOE_ADAPTERS=setting), ("True", ""), setting)
        self.assertEqual(self.run_python(STARTED), ("True", ""))

    def test_off(self):
        for setting in ("off", "Off", "0", "none", "no"):
            self.assertEqual(self.run_python(STARTED, HIERMOE_ADAPTERS=setting), ("False", ""), setting)

    def test_a_bad_setting_is_said(self):
        for setting in ("yes", "megatron,fsdp", "off,megatron"):
            out, said = self.run_python(STARTED, HIERMOE_ADAPTERS=setting)
            self.assertEqual(out, "False", setting)
            self.assertIn("expected auto, off, or a list of megatron, deepspeed, torchtitan", said)
            self.assertEqual(len(said.splitlines()), 1)

    def test_a_line_in_a_pth_file_starts_it_too(self):
        code = "import site, sys; site.addsitedir(%r); %s" % (self.folder, STARTED.partition("; ")[2])
        self.write("hiermoe.pth", SITE + "\nimport hiermoe_site\n")
        self.assertEqual(self.run_python(code, "-I"), ("True", ""))
        self.assertEqual(self.run_python(STARTED, "-I"), ("False", ""))

    # What is left as it was.

    def test_other_versions_of_python(self):
        tried = []
        for version in ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"):
            for folder in os.environ["PATH"].split(os.pathsep):
                python = os.path.join(folder, "python" + version)
                probe = ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
                if not os.path.exists(python):
                    continue
                found = subprocess.run([python, *probe], capture_output=True, text=True)
                if found.stdout.strip() == version:
                    expected = str(tuple(map(int, version.split("."))) >= (3, 8))
                    self.write("sitecustomize.py", "import sys\nsys.hidden_ran = 1\n")
                    out = self.run_python(STARTED + "; print(sys.hidden_ran)", path=[self.folder], python=python)
                    self.assertEqual(out, (expected + "\n1", ""), version)
                    tried.append(version)
                    break
        self.assertTrue(tried)

    def test_the_hidden_sitecustomize_runs(self):
        self.write("sitecustomize.py", "import sys\nsys.hidden_ran = __file__\n")
        code = STARTED + "; import sitecustomize; print(sys.hidden_ran == sitecustomize.__file__)"
        self.assertEqual(self.run_python(code, path=[self.folder]), ("True\nTrue", ""))
        self.assertEqual(self.run_python(code, path=[self.folder], HIERMOE_ADAPTERS="off"), ("False\nTrue", ""))
        linked = os.path.join(self.folder, "linked")
        os.symlink(SITE, linked)
        self.assertEqual(self.run_python(code, site=linked, path=[SITE, self.folder]), ("True\nTrue", ""))

    def test_a_hidden_sitecustomize_that_fails_is_said_as_ever(self):
        self.write("sitecustomize.py", "import nowhere_to_be_found\n")
        plain = self.run_python("print(1)", site=self.folder)
        self.assertEqual(self.run_python("print(1)", path=[self.folder])[0], plain[0])
        self.assertIn("nowhere_to_be_found", plain[1])
        self.assertIn("nowhere_to_be_found", self.run_python("print(1)", path=[self.folder])[1])

    def test_nothing_heavy_is_imported(self):
        code = "import sys; print(*sorted(sys.modules))"
        more = set(self.run_python(code)[0].split()) - set(self.run_python(code, site=self.folder)[0].split())
        ours = {name for name in more if name.startswith("hiermoe") or name == "sitecustomize"}
        self.assertLessEqual(more - ours, {"types", "importlib", "importlib.machinery", "importlib._bootstrap",
                                           "importlib._bootstrap_external", "warnings", "_warnings"})

    def test_folders_named_like_frameworks_are_not_imported(self):
        code = ("import importlib.util\nfor name in ('megatron', 'deepspeed', 'torchtitan', 'common'):\n"
                "    print(importlib.util.find_spec(name))")
        self.assertEqual(self.run_python(code), ("None\n" * 3 + "None", ""))

    def test_closed_or_missing_streams(self):
        code = STARTED.replace("print", "sys.exit(not ") + ")"
        for flag in ("2>&-", "<&-", ">&-"):
            done = subprocess.run(["sh", "-c", 'exec "$0" -c "$1" ' + flag, sys.executable, code],
                                  env={**os.environ, "PYTHONPATH": SITE, "HIERMOE_ADAPTERS": "nonsense" if "2" in flag
                                       else "auto"})
            self.assertEqual(done.returncode, 1 if "2" in flag else 0, flag)

    def test_broken_adapters_are_off_with_a_line(self):
        broken = os.path.join(self.folder, "adapters")
        for name, text in (("common/finder.py", "def ("), ("common/say.py", "raise OSError('disk')"),
                           ("common/settings.py", "import nowhere")):
            shutil.rmtree(broken, ignore_errors=True)
            shutil.copytree(ADAPTERS, broken, ignore=shutil.ignore_patterns("__pycache__"))
            self.write("adapters/" + name, text)
            out, said = self.run_python("print(1)", site=os.path.join(broken, "site"))
            self.assertEqual((out, len(said.splitlines())), ("1", 1), said)
            self.assertIn("hiermoe: adapters are off", said)

    # When a framework comes.

    def tells(self, more="pass", before="", after="import made.up"):
        return self.run_python(TELLS.format(more=more, before=before, after=after), path=[self.made_up()])

    def test_installs_after_the_last_module(self):
        self.assertEqual(self.tells(), ("installed ['made.other', 'made.up'] z_last", ""))

    def test_installs_nothing_for_a_part(self):
        self.assertEqual(self.tells(after="import made.other"), ("", ""))

    def test_installs_at_once_what_is_there(self):
        self.assertEqual(self.tells(before="import made.up", after=""), ("installed ['made.other', 'made.up'] z_last", ""))

    def test_modules_keep_their_loaders(self):
        after = ("import made.up, inspect, importlib.resources\n"
                 "print(type(made.up.__loader__).__name__, type(made.up.__spec__.loader).__name__, made.up.here)\n"
                 "import pickle; print(inspect.getsource(made.up).count('z_last'))")
        self.assertEqual(self.tells(after=after)[0].splitlines()[1:], ["SourceFileLoader SourceFileLoader True", "1"])

    def test_a_failing_adapter_is_said_and_the_framework_imported(self):
        out, said = self.tells(more="1 // 0", after="import made.up; print(made.up.z_last)")
        self.assertEqual(out.splitlines()[1:], ["1"])
        self.assertEqual(said, "hiermoe: adapters: made_up is left alone: ZeroDivisionError: "
                               "integer division or modulo by zero")

    def test_a_framework_that_fails_fails_as_ever(self):
        self.made_up()
        self.write("made/up.py", "raise KeyError('own')")
        code = TELLS.format(more="pass", before="", after="try:\n    import made.up\nexcept KeyError as e:\n    print(e)")
        self.assertEqual(self.run_python(code, path=[self.folder]), ("'own'", ""))

    def test_without_the_library_nothing_is_hooked(self):
        self.write("deepspeed/__init__.py", "")
        self.write("deepspeed/moe/__init__.py", "")
        self.write("deepspeed/moe/sharded_moe.py", "z = 1\n")
        self.write("torch.py", "")
        code = "import deepspeed.moe.sharded_moe as m; print(m.z)"
        self.assertEqual(self.run_python(code, path=[self.folder]), ("1", ""))


if __name__ == "__main__":
    unittest.main()
