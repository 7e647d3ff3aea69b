"""How a tensor looks as rows of an all-to-all, told from its shape and type without importing torch."""
from .api import BF16, BYTES, FP16, FP32

_TYPES = {"torch.bfloat16": BF16, "torch.float16": FP16, "torch.float32": FP32}
_known = {}  # type of torch: ours, bytes of an element where ours is BYTES


def shape_of(tensor):
    """(type, elements of a row, rows): the last dimension is the row; of one dimension, each element is one."""
    shape, dtype = tensor.shape, tensor.dtype
    found = _known.get(dtype)
    if found is None:
        kind = _TYPES.get(str(dtype), BYTES)
        found = _known[dtype] = kind, tensor.element_size() if kind == BYTES else 1
    dimensions = len(shape)
    if dimensions == 2:
        return found[0], shape[1] * found[1], shape[0]
    if dimensions < 2:
        return found[0], found[1], tensor.numel()
    width = shape[-1]
    return found[0], width * found[1], tensor.numel() // width if width else 0


def total(splits):
    """Rows of all peers: of a list, or of an array, which is faster asked itself."""
    return int(splits.sum()) if hasattr(splits, "sum") else sum(splits)
