"""The token of each row that Megatron's dispatcher sends."""
import torch

_tokens = {}  # (tokens, experts, device): the token of each place of the mask below, expert by expert


def of_mask(mask, rows):
    """The map where a fused permutation made the rows: by expert, then by token, of a bool [tokens, experts].

    int64 [rows] on the mask's device, made without waiting for it. Rows that the mask does not have are fillers.
    """
    tokens, experts = mask.shape
    key = tokens, experts, mask.device
    token = _tokens.get(key)
    if token is None:
        _tokens.clear()
        token = _tokens[key] = torch.arange(tokens, device=mask.device).repeat(experts)
    there = mask.t().reshape(-1)
    place = torch.where(there, there.cumsum(0) - 1, rows).clamp_(max=rows)
    return torch.full((rows + 1,), tokens, dtype=torch.int64, device=mask.device).scatter_(0, place, token)[:rows]


def of_dispatcher(dispatcher, rows):
    """(map or None, tokens) of the dispatch that sends these rows."""
    tokens = dispatcher.hidden_shape_before_permute[0]
    count = rows.shape[0]
    if dispatcher.config.moe_permute_fusion:
        mask = dispatcher.routing_map
        fits = mask.dtype == torch.bool and mask.dim() == 2 and mask.shape[0] == tokens
        return (of_mask(mask, count), tokens) if fits else (None, 0)
    mapped = dispatcher.reversed_local_input_permutation_mapping
    fits = mapped.dim() == 1 and mapped.shape[0] == count and mapped.is_contiguous() and not mapped.is_floating_point()
    return (mapped, tokens) if fits and mapped.element_size() in (4, 8) else (None, 0)
