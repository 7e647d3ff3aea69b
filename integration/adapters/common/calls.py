"""Announcing: what the hooks of all adapters do around an all-to-all.

A Way is one dispatch with the calls that follow it. It is held by the framework's object between dispatch and combine
and by both autograd contexts, and gives the library's handle back when nobody holds it any more: after backward, or
with a graph that had none. So recompute, micro-batches and overlapping schedules each have their own.

An Expect says what the next all-to-alls of this thread are, for as long as a method of the framework runs. The hook
around the call itself takes from it. Calls for which nothing is expected are not announced.
"""
import ctypes
import threading

from . import say
from .api import (COMBINE, COMBINE_BACKWARD, DISPATCH, DISPATCH_BACKWARD, OPAQUE, ROLES, ROWS_DIFFER, SUM, UNKNOWN,
                  Announcement)
from .rows import shape_of

EINVAL = 22
MIRROR = (OPAQUE, DISPATCH_BACKWARD, COMBINE_BACKWARD, OPAQUE, OPAQUE)  # by role: what its backward pass is


class Way:
    """One dispatch. `flags`: by role, what the framework promises. `map`: kept alive until the combine has it."""
    __slots__ = ("release_call", "layer", "flags", "handle", "rows_sent", "rows_received", "map")

    def __init__(self, announcer, layer, flags):
        self.release_call = announcer.api.release
        self.layer, self.flags = layer, flags
        self.handle, self.map = 0, None
        self.rows_sent = self.rows_received = UNKNOWN

    def release(self):
        handle, self.handle = self.handle, 0
        if handle:
            self.release_call(handle)

    def __reduce__(self):
        return type(None), ()  # a copy of the framework's object, or one written to a file, has no dispatch under way

    def __del__(self):
        try:
            self.release()
        except Exception:  # the interpreter ends
            pass


class Expect:
    """Until end(): what the all-to-alls of this thread on a group are, one role after the other; then opaque ones.

    `mapping`: called with the tensor of rows when a dispatch takes its role; gives (map tensor or None, tokens).
    """
    __slots__ = ("thread", "before", "group", "roles", "way", "mapping")

    def __init__(self, thread, group, roles, way, mapping=None):
        self.thread, self.before = thread, thread.expect
        self.group, self.roles, self.way, self.mapping = group, roles, way, mapping
        thread.expect = self

    def take(self):
        if not self.roles:
            return OPAQUE
        role, self.roles = self.roles[0], self.roles[1:]
        return role

    def end(self, result=None):
        self.thread.expect = self.before


class Call:
    """An announced call; end() settles it."""
    __slots__ = ("announcer", "role", "way")

    def __init__(self, announcer, role, way):
        self.announcer, self.role, self.way = announcer, role, way

    def end(self, result=None):
        made = self.announcer.settle()
        if self.way is None:
            return
        if self.role == DISPATCH:
            self.way.handle = made
        elif self.role == COMBINE:
            self.way.map = None
        elif self.role == DISPATCH_BACKWARD:  # the last call of a way; a second backward pass finds no handle
            self.way.release()


class _Thread(threading.local):
    def __init__(self):
        self.expect = None
        self.what = Announcement()
        self.what_at = ctypes.byref(self.what)
        self.made = ctypes.c_uint64()
        self.made_at = ctypes.byref(self.made)


class Announcer:
    """Announces for one adapter. `maps`: whether HIERMOE_GUIDED has a use for them."""

    def __init__(self, api, maps):
        self.api, self.maps = api, maps
        self.thread = _Thread()

    def settle(self):
        """The handle of a dispatch that was kept, else 0."""
        thread = self.thread
        thread.made.value = 0
        self.api.settle(thread.made_at)
        return thread.made.value

    def announce(self, role, way, rows, rows_in=UNKNOWN, mapped=(None, 0)):
        """Announces an all-to-all that sends the tensor `rows`; the Call to settle. mapped: (map tensor, tokens)."""
        thread = self.thread
        what = thread.what
        what.role = role
        what.type, what.width, what.rows_out = shape_of(rows)
        what.rows_in = rows_in
        what.map, what.map_bytes, what.tokens = None, 0, 0
        if way is None:
            what.flags, what.layer, what.handle = 0, -1, 0
        else:
            what.flags, what.layer, what.handle = way.flags[role], way.layer, way.handle
            if what.type == 0:
                what.flags &= ~SUM  # only numbers can be added
        if mapped[0] is not None:
            what.map, what.map_bytes, what.tokens = mapped[0].data_ptr(), mapped[0].element_size(), mapped[1]
        result = self.api.announce(thread.what_at)
        if result < 0 and not self._opaque_instead(result, thread):
            say.once("the library refused to hear of a %s (%d)" % (ROLES[role], result))
        return Call(self, role, way)

    def _opaque_instead(self, result, thread):
        """A library that does not know dispatches whose rows differ is told less: on all ranks, being the same."""
        what = thread.what
        if result != -EINVAL or not what.flags & ROWS_DIFFER:
            return False
        what.role, what.flags, what.map, what.map_bytes, what.tokens = OPAQUE, 0, None, 0, 0
        return self.api.announce(thread.what_at) == 0

    def take(self, rows, received=None):
        """Announces the next of what this thread expects. received: a function that counts rows of a dispatch."""
        expect = self.thread.expect
        role, way = expect.take(), expect.way
        if role == OPAQUE or way is None:
            return self.announce(OPAQUE, None, rows)
        if role != DISPATCH:
            rows_in = way.rows_received if role == COMBINE_BACKWARD else way.rows_sent
            return self.announce(role, way, rows, rows_in)
        mapped = (None, 0)
        try:
            way.rows_sent = shape_of(rows)[2]
            way.rows_received = received() if received is not None else way.rows_sent
            if self.maps and expect.mapping is not None:
                mapped = expect.mapping(rows)
                way.map = mapped[0]
        except Exception as error:  # announced all the same: ranks must not differ in that
            say.trouble("making the map of a dispatch", error)
        return self.announce(DISPATCH, way, rows, way.rows_received, mapped)

    def back(self, group, remembered):
        """Expects the backward pass of a call: remembered as it was announced, (role, way)."""
        return Expect(self.thread, group, (MIRROR[remembered[0]],), remembered[1])
