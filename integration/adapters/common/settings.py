"""HIERMOE_ADAPTERS: auto (all), off, or a list of names with commas between them."""
import os

NAMES = ("megatron", "deepspeed", "torchtitan")
OFF = ("off", "0", "no", "none", "false", "disabled")


def wanted(text):
    """The names of the adapters that the setting's text asks for. ValueError says what was expected instead."""
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    if words in ([], ["auto"]):
        return NAMES
    if len(words) == 1 and words[0] in OFF:
        return ()
    for word in words:
        if word not in NAMES:
            raise ValueError("HIERMOE_ADAPTERS=%s: expected auto, off, or a list of %s, got %r"
                             % (text, ", ".join(NAMES), word))
    return tuple(name for name in NAMES if name in words)


def wanted_here():
    return wanted(os.environ.get("HIERMOE_ADAPTERS", "auto"))
