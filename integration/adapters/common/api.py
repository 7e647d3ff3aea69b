"""The companion API of libhiermoe.so by ctypes. shim/hiermoe.h, version 2, says what each member and function means.

The functions announce, settle, release and attach never wait, so they are called without letting go of Python's lock:
that is cheaper than taking it again.
"""
import ctypes
from ctypes import POINTER, Structure, c_char_p, c_int, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

from . import say

VERSION = 2
OPAQUE, DISPATCH, COMBINE, COMBINE_BACKWARD, DISPATCH_BACKWARD = range(5)
ROLES = ("opaque", "dispatch", "combine", "combine_backward", "dispatch_backward")
BYTES, BF16, FP16, FP32 = range(4)
SUM, FILLER_UNREAD, COPIES, ROWS_DIFFER = 1, 2, 4, 8
UNKNOWN = 2**64 - 1  # rows, where they are not known


class Stats(Structure):
    _fields_ = [("size", c_size_t)] + [(name, c_uint64) for name in (
        "replaced", "left", "agreements", "bytes_raw", "bytes_sent", "announced", "guided", "misannounced", "handles",
        "handle_bytes_most")]


class Layer(Structure):
    _fields_ = [("size", c_size_t), ("key", c_char_p), ("comm", c_void_p)]


class Announcement(Structure):
    _fields_ = [("size", c_size_t), ("comm", c_void_p), ("role", c_uint32), ("flags", c_uint32), ("type", c_uint32),
                ("map_bytes", c_uint32), ("layer", c_int32), ("spare", c_uint32), ("handle", c_uint64),
                ("width", c_uint64), ("rows_out", c_uint64), ("rows_in", c_uint64), ("map", c_void_p),
                ("tokens", c_uint64)]

    def __init__(self):
        super().__init__(size=ctypes.sizeof(Announcement), layer=-1)


class LayerStats(Structure):
    _fields_ = [("size", c_size_t)] + [(name, c_uint64 * 5) for name in ("announced", "guided", "refused")]


class Table(Structure):
    """hiermoe_api_t."""
    _fields_ = [
        ("size", c_size_t), ("version", c_uint32), ("library", c_char_p),
        ("stats", ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(Stats))),
        ("attach", ctypes.PYFUNCTYPE(c_int, c_char_p, c_uint64)),
        ("layer_open", ctypes.CFUNCTYPE(c_int, POINTER(Layer), POINTER(c_int32))),
        ("layer_close", ctypes.CFUNCTYPE(c_int, c_int32)),
        ("announce", ctypes.PYFUNCTYPE(c_int, POINTER(Announcement))),
        ("settle", ctypes.PYFUNCTYPE(c_int, POINTER(c_uint64))),
        ("release", ctypes.PYFUNCTYPE(None, c_uint64)),
        ("layer_stats", ctypes.CFUNCTYPE(c_int, c_int32, POINTER(LayerStats))),
    ]


class Api:
    """The functions of a Table; those of every call are looked up once."""

    def __init__(self, table):
        self.table = table  # its memory lives as long as the process
        self.announce, self.settle, self.release = table.announce, table.settle, table.release

    def attach(self, name, code_hash):
        """The roles that HIERMOE_GUIDED allows, as bits; 0 where the library refuses the name."""
        return max(0, self.table.attach(name.encode(), code_hash))

    def layer_open(self, key):
        """The layer's id, or -1."""
        number = c_int32(-1)
        layer = Layer(ctypes.sizeof(Layer), key.encode(), None)
        return number.value if self.table.layer_open(ctypes.byref(layer), ctypes.byref(number)) == 0 else -1

    def layer_stats(self, number):
        """{role: (announced, guided, refused)} of a layer; None for an id that is no layer's."""
        stats = LayerStats(size=ctypes.sizeof(LayerStats))
        if self.table.layer_stats(number, ctypes.byref(stats)) != 0:
            return None
        return {role: (stats.announced[i], stats.guided[i], stats.refused[i]) for i, role in enumerate(ROLES)}


def from_table(table):
    """An Api of a Table that is at least of our version; else None, said once."""
    if table.version < VERSION or table.size < ctypes.sizeof(Table):
        say.once("libhiermoe.so has version %d of the companion API, adapters need %d: adapters are off"
                 % (table.version, VERSION))
        return None
    return Api(table)


def load():
    """The preloaded library's Api; None where there is none."""
    try:
        get = ctypes.CDLL(None).hiermoe_api
    except (AttributeError, OSError):
        return None
    get.restype, get.argtypes = POINTER(Table), []
    found = get()
    return from_table(found.contents) if found else None
