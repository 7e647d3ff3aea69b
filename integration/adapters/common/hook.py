"""Replacing functions of a framework by hooks that can fail without the job noticing."""
import functools
import sys

from . import say


def _never():
    return False


def _compiling():
    """torch's own test whether code is being compiled: compiled code is left as it is."""
    torch = sys.modules.get("torch")
    return getattr(getattr(torch, "compiler", None), "is_compiling", _never)


def _guarded(where, step, *args):
    try:
        step(*args)
    except Exception as error:
        say.trouble(where, error)


def around(owner, name, begin):
    """Replaces owner.name, a function of a module or method of a class.

    begin(*arguments) is called before the original and gives None, or an object whose end(result) is called after it
    (result: None if the original raised). What they raise is said once and goes no further.
    """
    plain = vars(owner).get(name, getattr(owner, name))
    original = plain.__func__ if isinstance(plain, staticmethod) else plain
    where = "the hook of %s.%s" % (getattr(owner, "__qualname__", owner.__name__), name)
    compiling = _compiling()

    @functools.wraps(original)
    def hooked(*args, **kwargs):
        if compiling():
            return original(*args, **kwargs)
        note = None
        try:
            note = begin(*args, **kwargs)
        except Exception as error:
            say.trouble(where, error)
        if note is None:
            return original(*args, **kwargs)
        try:
            result = original(*args, **kwargs)
        except BaseException:
            _guarded(where, note.end, None)
            raise
        _guarded(where, note.end, result)
        return result

    hooked.hiermoe_original, hooked.hiermoe_begin = original, begin
    setattr(owner, name, staticmethod(hooked) if isinstance(plain, staticmethod) else hooked)
    return hooked
