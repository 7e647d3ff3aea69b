#!/usr/bin/env python3
"""Shows on small made-up trees that each bound of tests/house.py can be broken, and what does not break it."""
import os
import subprocess
import sys
import tempfile
import unittest

HOUSE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "house.py")
README = """# Way

## Folders, lowest layer first

Words.

```
base/    messages
door/    calls
top/     all else
./       the rest
```
"""
CLEAN = {
    "shim/README.md": README,
    "shim/base/log.h": "void log_say(const char *text);\n",
    "shim/base/log.c": '#include "log.h"\n\nvoid log_say(const char *text)\n{\n    (void)text;\n}\n',
    "shim/top/run.h": "int run_all(int count);\n",
    "shim/top/run.c": '#include "run.h"\n#include "base/log.h"\n\nint run_all(int count)\n{\n    log_say("run");\n    return count;\n}\n',
}


def members(count, before="typedef struct thing {", after="} thing_t;"):
    return before + "".join(f"\n    int member_{i};" for i in range(count)) + "\n" + after + "\n"


class House(unittest.TestCase):
    def check(self, status, said=(), files=None):
        """Runs it over the clean tree with these files besides: exit status and what it prints."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**CLEAN, **(files or {})}.items():
                os.makedirs(os.path.dirname(f"{root}/{path}"), exist_ok=True)
                with open(f"{root}/{path}", "w", encoding="utf-8") as file:
                    file.write(text)
            done = subprocess.run([sys.executable, HOUSE, root], capture_output=True, text=True)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        for words in [said] if isinstance(said, str) else said:
            self.assertIn(words, done.stdout + done.stderr)

    def test_a_clean_tree_passes(self):
        self.check(0, ["circles of files: 0,", "(base, door, top, .): 0,", "members: 0,", "shim/base: 2 files, median"])

    def test_circles(self):
        self.check(1, ["circles of files: 1,", "planner/a planner/b planner/c"], files={
            "planner/a.h": '#include "b.h"\n', "planner/b.h": '#include "c.h"\n', "planner/c.c": '#include "a.h"\n',
            "planner/c.h": "\n"})
        self.check(1, "kernels/move planner/plan", files={
            "planner/plan.h": '#include "../kernels/move.cuh"\n', "kernels/move.cuh": '#include "planner/plan.h"\n'})

    def test_what_is_no_circle(self):
        self.check(0, files={
            "planner/a.h": '/* #include "a.c" */\n', "planner/a.c": '#include "a.h"\n#include "b.h"\n',
            "planner/b.h": "#include <a.h>\n", "planner/b.c": '#include "b.h"\n#include "fingerprint.h"\n'})

    def upward(self, number):
        files = {f"shim/base/low{i}.c": f"void low{i}(void)\n{{\n    run_all({i});\n}}\n" for i in range(number)}
        return {**files, "shim/base/deep.c": '#include "top/run.h"\n'}

    def test_upward_calls_and_includes(self):
        self.check(0, "(base, door, top, .): 5,", files=self.upward(4))
        self.check(1, ["(base, door, top, .): 6,", "shim/base/deep -> shim/top/run: includes top/run.h",
                       "shim/base/low4 -> shim/top/run: calls run_all"], files=self.upward(5))

    def test_one_pair_counts_once(self):
        text = '#include "top/run.h"\n\nint low(void)\n{\n    return run_all(run_all(1));\n}\n'
        self.check(0, "shim/base/low -> shim/top/run: calls run_all, includes top/run.h", files={"shim/base/low.c": text})

    def test_what_is_no_upward_call(self):
        declared = "int run_all(int count);\n/* run_all() */\n"
        own = "static int run_all(int count)\n{\n    return count;\n}\n\nint low(void)\n{\n    return run_all(1);\n}\n"
        member = 'int far(const hm_t *at)\n{\n    return at->run_all(1) + at->of.run_all("run_all");\n}\n'
        self.check(0, "(base, door, top, .): 0,",
                   files={"shim/base/low.h": declared, "shim/base/low.c": own, "shim/base/far.c": member})

    def test_files_of_shim_itself_are_on_top(self):
        call = "int call_run(void)\n{\n    return 0;\n}\n"
        self.check(0, "(base, door, top, .): 1,", files={
            "shim/call.c": call, "shim/top/low.c": "int low(void)\n{\n    return call_run();\n}\n"})

    def test_any_file_may_include_the_companion_api(self):
        self.check(0, "(base, door, top, .): 0,", files={
            "shim/hiermoe.h": "int hiermoe_api(void);\n", "shim/base/low.c": '#include "hiermoe.h"\n'})

    def test_folders_of_shim_without_a_list_are_noticed(self):
        self.check(1, "expected a list of them in shim/README.md", files={**self.upward(9), "shim/README.md": "# Way\n"})

    def test_members(self):
        self.check(0, files={"shim/top/thing.h": members(15)})
        for path in "shim/top/thing.h", "shim/thing.h", "planner/thing.c", "kernels/thing.cuh":
            self.check(1, [f"{path}: thing has 16", "members: 1,"], files={path: members(16)})
        self.check(0, files={"shim/base/thing.h": members(16), "shim/door/thing.h": members(99)})

    def test_how_members_are_counted(self):
        self.check(1, "thing has 17", files={
            "planner/thing.h": members(14, after="    int a, *b[2], (*c)(int, int);\n} thing_t;")})
        self.check(1, "thing has 17", files={
            "planner/thing.h": members(14, after="    struct {\n        int a;\n        union {\n            int b;\n"
                                       "        };\n    } pair;\n} thing_t;")})
        self.check(0, files={"planner/thing.h": members(14, after="    int last; /* int a, b, c; */\n} thing_t;")})
        functions = "    int (*one)(const int *at,\n               int count);\n    void *(*two)(void);\n} thing_t;"
        self.check(0, files={"kernels/thing.h": members(15, after=functions)})
        self.check(1, "thing has 16", files={"kernels/thing.h": members(16, after=functions)})
        self.check(0, files={"planner/thing.h": members(16, "static inline int work(struct thing *at)\n{", "}")})

    def test_lines(self):
        self.check(0, files={"planner/long.c": "\n" * 400})
        for path in "planner/long.c", "tests/long.sh", "integration/long.py":
            self.check(1, [f"{path}: 401", "400 lines: 1,"], files={path: "\n" * 401})

    def test_what_is_no_tree(self):
        with tempfile.TemporaryDirectory() as root:
            done = subprocess.run([sys.executable, HOUSE, root], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("to hold shim/ with sources", done.stderr)


if __name__ == "__main__":
    unittest.main()
