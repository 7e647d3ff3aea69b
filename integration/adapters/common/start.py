"""What every adapter does first: is the library there, is this a version that we know, say so to the library."""
from . import api as companion
from . import code, say, sources
from .calls import Announcer


def begin(framework, table, modules):
    """An Announcer where the adapter may install its hooks, else None. modules: {name: module} of the framework."""
    api = companion.load()
    if api is None:
        return None
    try:
        versions = sources.versions_of(table, modules)
    except sources.Unknown as error:
        say.once("%s is left alone: %s" % (framework, error))
        return None
    name = "%s %s" % (framework, versions[0] if len(versions) == 1 else versions[0] + ".." + versions[-1])
    allowed = api.attach(name, code.hash_of())
    say.info("%s is announced%s" % (name, "" if allowed else ", HIERMOE_GUIDED allows nothing"))
    return Announcer(api, allowed != 0)
