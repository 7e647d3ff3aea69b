"""Which version of a framework this is, told from the source of the functions that an adapter relies on.

A table of versions names each function, as "module:Class.function", with the hashes of its source and the versions that
have it so: {name: {hash: "version version ..."}}. make_versions.py makes it from the frameworks' packages.
"""
import ast
import hashlib
import tokenize


class Unknown(Exception):
    """A source that no known version has; the text says which."""


def _node(tree, path):
    found = tree
    for part in path.split("."):
        named = [node for node in found.body if getattr(node, "name", None) == part]
        if not named:
            return None
        found = named[-1]
    return found


def _first_line(node):
    return min([node.lineno] + [decorator.lineno for decorator in node.decorator_list])


def hashes(source, paths):
    """{path: (hash of its lines, its node)} of functions and classes in a module's source; (None, None) if absent."""
    tree, lines, found = ast.parse(source), source.splitlines(True), {}
    for path in paths:
        node = _node(tree, path)
        if node is None:
            found[path] = None, None
            continue
        text = "".join(lines[_first_line(node) - 1:node.end_lineno])
        found[path] = hashlib.sha256(text.encode()).hexdigest()[:16], node
    return found


def _untouched(module, path, node):
    """Whether what runs is what stands in the source: nobody replaced the function, or one of the class's."""
    live = module
    for part in path.split("."):
        live = vars(live).get(part)
        if live is None:
            return False
    if isinstance(node, ast.ClassDef):
        return all(_untouched(live, inner.name, inner) for inner in node.body if isinstance(inner, ast.FunctionDef))
    live = getattr(live, "__func__", live)
    live = getattr(live, "hiermoe_original", live)
    code = getattr(live, "__code__", None)
    return code is not None and (code.co_name, code.co_firstlineno) == (node.name, _first_line(node))


def _by_module(table, modules):
    """{module: paths}, of the modules given alone: an adapter may share its table."""
    found = {}
    for name in table:
        module, _, path = name.partition(":")
        if module in modules:
            found.setdefault(module, []).append(path)
    return found


def versions_of(table, modules):
    """The versions, oldest first, that have these modules' functions of the table as they are here. Unknown if none.

    modules: {name: module}, as imported.
    """
    left = None
    for name, paths in _by_module(table, modules).items():
        module = modules[name]
        with tokenize.open(module.__file__) as file:
            found = hashes(file.read(), paths)
        for path, (number, node) in found.items():
            full = name + ":" + path
            if number not in table[full]:
                raise Unknown("%s is not as in any version known here" % full)
            if not _untouched(module, path, node):
                raise Unknown("%s was replaced by other code" % full)
            versions = table[full][number].split()
            left = versions if left is None else [version for version in left if version in versions]
    if not left:
        raise Unknown("its functions are of different versions")
    return left
