"""Points names of torch.cuda at the CPU, as far as Megatron-core needs them to run on hosts."""
import contextlib

import torch


class Stream:
    """Of a stream or an event: on a host everything is done at once."""
    cuda_stream = 0

    def __init__(self, *args, **kwargs):
        pass

    def record_event(self, *args):
        return Stream()

    def _nothing(self, *args, **kwargs):
        pass

    wait_stream = wait_event = synchronize = record = wait = _nothing


def install():
    only = Stream()
    cuda = torch.cuda
    cuda.Stream = cuda.Event = Stream
    cuda.current_stream = cuda.default_stream = lambda *args: only
    cuda.stream = lambda stream: contextlib.nullcontext()
    cuda.current_device = lambda: "cpu"
    cuda.device_count = lambda: 1
    cuda.synchronize = cuda.empty_cache = cuda.set_device = lambda *args: None
    cuda.get_rng_state = cuda.random.get_rng_state = lambda *args, **kwargs: torch.get_rng_state()
    cuda.set_rng_state = cuda.random.set_rng_state = lambda state, *args, **kwargs: torch.set_rng_state(state)
    cuda.default_generators = {"cpu": torch.default_generator}
    cuda._lazy_init = lambda: None
    cuda._lazy_call = lambda called, **kwargs: called()
    cuda.manual_seed = torch.default_generator.manual_seed
    cuda.manual_seed_all = lambda seed: None
    cuda.initial_seed = torch.initial_seed
    torch.Tensor.cuda = lambda self, *args, **kwargs: self
    torch.Tensor.record_stream = lambda self, stream: None
    device = torch.device
    real_empty, real_zeros = torch.empty, torch.zeros

    def on_host(plain):
        def made(*args, **kwargs):
            where = kwargs.get("device")
            if where is not None and device(where).type == "cuda":
                kwargs["device"] = "cpu"
            return plain(*args, **kwargs)
        return made

    torch.empty, torch.zeros = on_host(real_empty), on_host(real_zeros)
    torch.arange, torch.tensor, torch.full, torch.ones = map(on_host, (torch.arange, torch.tensor, torch.full, torch.ones))


if __name__ == "__main__":  # cuda_on_hosts.py MODULE: whether it can be imported so
    import importlib
    import sys
    install()
    importlib.import_module(sys.argv[1])
