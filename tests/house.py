#!/usr/bin/env python3
"""Holds the sources against the bounds of the house, and prints what it found.

    tests/house.py [ROOT]

circles    files of shim/, planner/ and kernels/ that include each other, directly or by way of others: none. A .c, .h,
           .def, .cu and .cuh file of one name in one folder are one module.
upward     pairs of modules in shim/ of which one includes or calls the other although its folder lies lower: at most 5.
           The order is that of the first fenced block under "## Folders, lowest layer first" in shim/README.md; each
           line begins with a folder's name and a slash, "./" being shim/ itself. Without it shim/ is one folder. The
           companion API, shim/hiermoe.h, knows nothing of the house, and any file may include it.
members    structs and unions behind the door, that is in planner/, kernels/ and shim/ but its folders base and door,
           with more than 15 members: none. Those of nested structs count too; functions, as in the table of an
           interface, do not: nobody writes them.
lines      files with more than 400 lines in shim/, planner/, kernels/, integration/ and tests/: none. The median of each
           folder is printed.

Exit status: 0; 1 where a bound is broken; 2 where ROOT is no such tree. Read by eye rather than by a compiler: functions
and members that macros make are not seen.
"""
import os
import re
import statistics
import sys

UPWARD_MOST, MEMBERS_MOST, LINES_MOST = 5, 15, 400
HOUSE = ("shim", "planner", "kernels")
KINDS = (".c", ".h", ".def", ".cu", ".cuh")
LONG_KINDS = (*KINDS, ".cc", ".py", ".sh", ".cmake")
PUBLIC = "shim/hiermoe.h"
HEADING = "## Folders, lowest layer first"


def files_of(root, folders, kinds):
    """Paths relative to the root, with /."""
    for folder in folders:
        for where, below, names in os.walk(os.path.join(root, folder)):
            below[:] = sorted(name for name in below if not name.startswith((".", "build", "__")))
            for name in sorted(names):
                if name.endswith(kinds):
                    yield os.path.relpath(os.path.join(where, name), root)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def bare(text):
    """Without comments, strings and continued lines, all other characters at their place."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match[0])
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def module_of(path):
    return os.path.splitext(path)[0]


class Source:
    """One file, and what it includes, defines and uses."""

    def __init__(self, root, path):
        text = read(root, path)
        self.path = path
        self.includes = re.findall(r'^\s*#\s*include\s+"([^"]+)"', bare_comments(text), flags=re.M)
        self.code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m[0]), bare(text), flags=re.M)
        self.defines = set()
        self.own = set()
        for match in re.finditer(r"^([A-Za-z_][^;{}#=]*?)\b(\w+)\s*(\((?:[^(){};]|\([^(){};]*\))*\))\s*\{", self.code, flags=re.M):
            if re.match(r"(typedef|struct|union|enum)\b[^(]*$", match[1]) and "(" not in match[3]:
                continue
            self.own.add(match[2])
            if not re.search(r"\bstatic\b", match[1]):
                self.defines.add(match[2])

    def used(self):
        """Names inside braces that are neither members nor of this file."""
        depth, names = 0, set()
        for match in re.finditer(r"[{}]|(?<![\w.])(?<!->)[A-Za-z_]\w*", self.code):
            if match[0] in "{}":
                depth += 1 if match[0] == "{" else -1
            elif depth > 0:
                names.add(match[0])
        return names - self.own


def bare_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", lambda match: re.sub(r"[^\n]", " ", match[0]), text, flags=re.S)


def include_of(root, source, name):
    """The file of the house that an include means, or None."""
    for folder in (os.path.dirname(source.path), "shim", "", "planner", "kernels"):
        path = os.path.normpath(os.path.join(folder, name))
        if path.split(os.sep)[0] in HOUSE and os.path.isfile(os.path.join(root, path)):
            return path
    return None


def circles(edges):
    """Sets of modules that reach each other (Tarjan's strongly connected components of more than one)."""
    index, low, stack, found = {}, {}, [], []

    def visit(module):
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(edges.get(module, ())):
            if other not in index:
                visit(other)
            if other in stack:
                low[module] = min(low[module], low[other])
        if low[module] == index[module]:
            at = stack.index(module)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    sys.setrecursionlimit(10000)
    for module in sorted(edges):
        if module not in index:
            visit(module)
    return found


def folders_in_order(root):
    """Folders of shim/, lowest layer first; empty where shim/README.md has no such list."""
    path = os.path.join(root, "shim", "README.md")
    text = read(root, "shim/README.md") if os.path.exists(path) else ""
    _, heading, below = text.partition(HEADING + "\n")
    block = re.search(r"^```[^\n]*\n(.*?)^```", below.partition("\n## ")[0], flags=re.M | re.S) if heading else None
    return re.findall(r"^(\S+)/(?=\s|$)", block[1], flags=re.M) if block else []


def floor_of(order, path):
    """A file's place in the order; unknown folders are on top."""
    folder = os.path.dirname(os.path.relpath(path, "shim")) or "."
    return order.index(folder) if folder in order else len(order)


def upward(root, sources, order):
    """Pairs (lower module, higher module) with how."""
    shim = [source for source in sources if source.path.startswith("shim/")]
    maker = {name: source.path for source in shim if source.path.endswith(".c") for name in source.defines}
    pairs = {}
    for source in shim:
        floor = floor_of(order, source.path)
        aims = [(include_of(root, source, name), f"includes {name}") for name in source.includes]
        aims += [(maker.get(name), f"calls {name}") for name in sorted(source.used())]
        for aim, how in aims:
            if aim and aim.startswith("shim/") and aim != PUBLIC and floor_of(order, aim) > floor:
                pairs.setdefault((module_of(source.path), module_of(aim)), []).append(how)
    return pairs


def declarators(text):
    """How many members one declaration makes; its braces have been taken out."""
    depth, count = 0, 1
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        count += letter == "," and depth == 0
    return count


def members_of(body):
    """Members between a struct's braces, those of nested ones included; # stands for braces that were counted."""
    count, nested, begin, at = 0, 0, 0, 0
    while at < len(body):
        if body[at] == "{":
            end, depth = at + 1, 1
            while depth > 0:
                depth += (body[end] == "{") - (body[end] == "}")
                end += 1
            if re.search(r"\b(struct|union)\b[^;]*$", body[begin:at]):
                nested += members_of(body[at + 1:end - 1])
            body = body[:at] + "#" * (end - at) + body[end:]
        elif body[at] == ";":
            said = body[begin:at].strip()
            # a member, not only a type, and not a function
            if said and not re.fullmatch(r"(struct|union|enum)\s*(\w+\s*)?#*|[\w\s*]+\(\s*\*\s*\w+\s*\)\s*\(.*\)", said, re.S):
                count += declarators(said)
            begin = at + 1
        at += 1
    return count + nested


def structs(source):
    """Name and number of members of each struct or union that a file defines."""
    for match in re.finditer(r"^(?:typedef\s+)?(?:static\s+)?(?:const\s+)?(?:struct|union)\b([^;{}()=]*)\{", source.code, flags=re.M):
        end, depth = match.end(), 1
        while depth > 0 and end < len(source.code):
            depth += (source.code[end] == "{") - (source.code[end] == "}")
            end += 1
        name = match[1].strip() or re.match(r"\s*(\w*)", source.code[end:])[1] or "without a name"
        yield name, members_of(source.code[match.end():end - 1])


def behind_the_door(path):
    return not path.startswith(("shim/base/", "shim/door/"))


def lines_say(root):
    """Prints the medians, returns files that are too long."""
    lines = {}
    for path in files_of(root, (*HOUSE, "integration", "tests"), LONG_KINDS):
        lines[path] = read(root, path).count("\n")
    for folder in sorted({os.path.dirname(path) for path in lines}):
        here = [count for path, count in lines.items() if os.path.dirname(path) == folder]
        print(f"  {folder}: {len(here)} files, median {statistics.median(here):g} lines, longest {max(here)}")
    return [(path, count) for path, count in lines.items() if count > LINES_MOST]


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return 0 if len(sys.argv) == 2 else 2
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), ".."))
    sources = [Source(root, path) for path in files_of(root, HOUSE, KINDS)]
    if not any(source.path.startswith("shim/") for source in sources):
        print(f"house: expected {root} to hold shim/ with sources", file=sys.stderr)
        return 2
    edges = {module_of(source.path): set() for source in sources}
    for source in sources:
        aims = {module_of(aim) for name in source.includes if (aim := include_of(root, source, name))}
        edges[module_of(source.path)] |= aims - {module_of(source.path)}
    rings = circles(edges)
    print(f"circles of files: {len(rings)}, expected 0")
    for ring in rings:
        print(f"  {' '.join(ring)}")
    order = folders_in_order(root)
    listless = not order and any(source.path.count("/") > 1 for source in sources if source.path.startswith("shim/"))
    if listless:
        print(f"shim/ has folders: expected a list of them in shim/README.md under \"{HEADING}\"")
    pairs = upward(root, sources, order)
    print(f"pairs of files that include or call upward in shim/ ({', '.join(order) or 'one folder'}): {len(pairs)}, "
          f"expected at most {UPWARD_MOST}")
    for (low, high), how in sorted(pairs.items()):
        print(f"  {low} -> {high}: {', '.join(sorted(set(how)))}")
    large = [(source.path, name, count) for source in sources if behind_the_door(source.path)
             for name, count in structs(source) if count > MEMBERS_MOST]
    print(f"structs behind the door with more than {MEMBERS_MOST} members: {len(large)}, expected 0")
    for path, name, count in large:
        print(f"  {path}: {name} has {count}")
    print("lines of files, folder by folder:")
    long = lines_say(root)
    print(f"files of more than {LINES_MOST} lines: {len(long)}, expected 0")
    for path, count in long:
        print(f"  {path}: {count}")
    return int(bool(listless or rings or len(pairs) > UPWARD_MOST or large or long))


if __name__ == "__main__":
    sys.exit(main())
