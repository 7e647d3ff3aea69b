"""Where the tests find the programs and the samples."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
AB = os.path.join(ROOT, "integration", "ab", "hiermoe-ab")
REPORT = os.path.join(ROOT, "integration", "report", "hiermoe-report")
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "integration"))


def sample(name):
    with open(os.path.join(HERE, "samples", name), encoding="utf-8") as file:
        return file.read()
