"""What the cases of all frameworks have in common: run a variant, compare it with the plain run, count faults."""
import os
import sys
import time

import torch

FAULTS = []


def check(true, *words):
    if not true:
        FAULTS.append(" ".join(map(str, words)))
        print("rank %s: %s" % (os.environ["RANK"], FAULTS[-1]), file=sys.stderr, flush=True)


def same(name, got, plain, rounding=None):
    """Tensors by name: bit for bit equal, or within `rounding` of the largest number of each."""
    check(got.keys() == plain.keys(), name, "has other results:", set(got) ^ set(plain))
    for key in got.keys() & plain.keys():
        if rounding is None:
            check(torch.equal(got[key], plain[key]), name, key, "differs")
        else:
            worst = (got[key].double() - plain[key].double()).abs().max().item()
            bound = rounding * max(plain[key].double().abs().max().item(), 1e-3)
            check(worst <= bound, name, key, "is off by", worst, "of at most", bound)


def chosen(variants):
    """The variants that HM_VARIANTS names; all without it."""
    names = os.environ.get("HM_VARIANTS", "").split()
    return {name: fields for name, fields in variants.items() if not names or name in names}


def none_left(fake, seconds=20):
    """Whether all handles were given back. A thread of gloo may hold a call's output, and its graph, a little longer."""
    for _ in range(20 * seconds):
        if not fake.alive:
            return True
        time.sleep(0.05)
    return False


def announced(name, recorder, unannounced=0):
    """Every call was announced and every announcement taken and settled, none was wrong, and no handle is left."""
    heard = recorder.fake.heard
    check(not recorder.faults, name, recorder.faults[:3])
    check(len(heard) > 0, name, "announced nothing")
    check(all(each.taken and each.settled for each in heard), name, "announced in vain:",
          [each for each in heard if not each.taken][:3])
    check(recorder.calls.count(None) == unannounced, name, recorder.calls.count(None), "calls were not announced")
    check(none_left(recorder.fake), name, "left handles", recorder.fake.alive)
    if recorder.fake.keep:
        for each in heard:
            later = each.role not in ("opaque", "dispatch")
            check(not later or each.handle, name, each, "names no dispatch")


def done():
    print("rank %s: %d faults" % (os.environ["RANK"], len(FAULTS)), flush=True)
    sys.exit(1 if FAULTS else 0)
