"""A companion API that writes down what it hears: a hiermoe_api_t whose functions are Python's.

    fake = FakeApi(); announcer = Announcer(fake.api, maps=True)

fake.heard: what was announced, in order (Heard). take() stands for the all-to-all that an announcement was about.
"""
import ctypes
import os
import sys
import threading
import types

ADAPTERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "integration", "adapters")


def package():
    """Makes hiermoe_adapters importable without starting anything, as site/hiermoe_site.py does it."""
    if "hiermoe_adapters" not in sys.modules:
        module = types.ModuleType("hiermoe_adapters")
        module.__path__ = [os.path.realpath(ADAPTERS)]
        sys.modules["hiermoe_adapters"] = module


package()
from hiermoe_adapters.common import api as companion  # noqa: E402


class Heard:
    """One announcement: the members of hiermoe_announcement_t, its map as a list, and what became of it."""

    def __init__(self, what):
        for name, _ in companion.Announcement._fields_:
            setattr(self, name, getattr(what, name))
        self.role = companion.ROLES[what.role]
        self.entries = self._entries() if what.map_bytes else None
        self.taken = self.settled = False
        self.made = 0
        self.thread = threading.get_ident()

    def _entries(self):
        if not self.rows_out:
            return []
        kind = {4: ctypes.c_int32, 8: ctypes.c_int64}[self.map_bytes]
        return list((kind * self.rows_out).from_address(self.map))

    def __repr__(self):
        return "%s flags=%d width=%d out=%d in=%d handle=%d" % (self.role, self.flags, self.width, self.rows_out,
                                                                self.rows_in, self.handle)


class FakeApi:
    """keep: whether dispatches get a handle. refuse: {role name: errno} that announce() answers with."""

    def __init__(self, allowed=30, keep=True, refuse=None, refuse_flags=0):
        self.allowed, self.keep, self.refuse, self.refuse_flags = allowed, keep, refuse or {}, refuse_flags
        self.heard, self.attached, self.layers, self.released, self.made = [], [], [], [], []
        self.pending = threading.local()
        kinds = dict(companion.Table._fields_)
        self.table = companion.Table(
            size=ctypes.sizeof(companion.Table), version=2, library=b"fake", attach=kinds["attach"](self._attach),
            layer_open=kinds["layer_open"](self._layer_open), layer_close=kinds["layer_close"](lambda number: 0),
            announce=kinds["announce"](self._announce), settle=kinds["settle"](self._settle),
            release=kinds["release"](self._release))
        self.api = companion.from_table(self.table)

    @property
    def alive(self):
        return [handle for handle in self.made if handle not in self.released]

    @property
    def roles(self):
        return [heard.role for heard in self.heard]

    def now(self):
        """What this thread announced and no call took yet; None if nothing."""
        return getattr(self.pending, "heard", None)

    def take(self):
        """A call comes: the announcement that it takes, or None."""
        heard = self.now()
        if heard is None or heard.taken:
            return None
        heard.taken = True
        return heard

    def _attach(self, name, number):
        self.attached.append((name.decode(), number))
        return self.allowed

    def _layer_open(self, layer, number):
        key = layer.contents.key.decode()
        if key not in self.layers:
            self.layers.append(key)
        number[0] = self.layers.index(key)
        return 0

    def _announce(self, what):
        heard = Heard(what.contents)
        error = self.refuse.get(heard.role, 22 if heard.flags & self.refuse_flags else 0)
        if error:
            return -error
        if heard.handle and heard.handle not in self.alive:
            return -116  # ESTALE
        self.heard.append(heard)
        self.pending.heard = heard
        return 0

    def _settle(self, made):
        heard, self.pending.heard = self.now(), None
        made[0] = 0
        if heard is None or not heard.taken:
            return -42  # ENOMSG
        heard.settled = True
        if heard.role == "dispatch" and self.keep:
            heard.made = made[0] = len(self.made) + 1
            self.made.append(heard.made)
        return 0

    def _release(self, handle):
        self.released.append(handle)
