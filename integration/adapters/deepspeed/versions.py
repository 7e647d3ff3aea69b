"""Made by make_versions.py: what the adapter relies on, by the hash of its source, and versions that have it so."""
TABLE = {
    "deepspeed.moe.sharded_moe:_AllToAll": {
        "18823e9b591c562a": "0.19.4 0.19.5 0.19.6 0.19.7 0.19.8",
    },
    "deepspeed.moe.sharded_moe:top1gating": {
        "62e500dce0efe2c9": "0.19.4 0.19.5 0.19.6 0.19.7",
        "8d4e9a5027ec1d0f": "0.19.8",
    },
    "deepspeed.moe.sharded_moe:top2gating": {
        "c29900bcb98fa14b": "0.19.4 0.19.5 0.19.6 0.19.7",
        "d8b2b1ab33321386": "0.19.8",
    },
    "deepspeed.moe.sharded_moe:topkgating": {
        "58d8b1f7649b86f8": "0.19.4 0.19.5 0.19.6 0.19.7",
        "ff50d8a107106b7e": "0.19.8",
    },
    "deepspeed.moe.sharded_moe:TopKGate.forward": {
        "374e6fd6d693707d": "0.19.4 0.19.5 0.19.6 0.19.7 0.19.8",
    },
    "deepspeed.moe.sharded_moe:_route_slots": {
        "ac372d3286717c79": "0.19.4 0.19.5 0.19.6 0.19.7 0.19.8",
    },
    "deepspeed.moe.sharded_moe:_sparse_encode": {
        "70ed9d6fe8fca1e3": "0.19.4 0.19.5 0.19.6 0.19.7 0.19.8",
    },
    "deepspeed.moe.sharded_moe:_sparse_decode": {
        "72fdb438517a6ce8": "0.19.4 0.19.5 0.19.6 0.19.7 0.19.8",
    },
    "deepspeed.moe.sharded_moe:MOELayer.forward": {
        "afff767ca100609f": "0.19.4 0.19.5 0.19.6 0.19.7 0.19.8",
    },
    "deepspeed.module_inject.auto_ep_layer:_AllToAllV": {
        "7672551293f97900": "0.19.4 0.19.5 0.19.6 0.19.7 0.19.8",
    },
    "deepspeed.module_inject.auto_ep_layer:_split_plan_from_expert_counts": {
        "81cc09bd36117714": "0.19.4 0.19.5 0.19.6 0.19.7",
        "1b5916f154e082fe": "0.19.8",
    },
    "deepspeed.module_inject.auto_ep_layer:_start_async_split_plan_from_expert_counts": {
        "dd1d167a0463ff01": "0.19.8",
    },
    "deepspeed.module_inject.auto_ep_layer:apply_scores_before_experts_if_enabled": {
        "932035ecfee91ba9": "0.19.4 0.19.5 0.19.6 0.19.7 0.19.8",
    },
    "deepspeed.module_inject.auto_ep_layer:combine_from_routed": {
        "a84fd36160db35e1": "0.19.4 0.19.5 0.19.6 0.19.7",
        "452b0879012446b1": "0.19.8",
    },
    "deepspeed.module_inject.auto_ep_layer:AutoEPMoELayer._forward": {
        "701de38e30c779bc": "0.19.8",
    },
    "deepspeed.moe.ep_router:TokenChoiceTopKRouter.forward": {
        "a81b54276051d4a5": "0.19.4 0.19.5 0.19.6 0.19.7 0.19.8",
    },
}
