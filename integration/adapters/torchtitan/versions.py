"""Made by make_versions.py: what the adapter relies on, by the hash of its source, and versions that have it so."""
TABLE = {
    "torchtitan.models.moe.moe:TokenReorderer.forward": {
        "3d64d9007a2cf165": "0.2.2",
    },
    "torchtitan.models.moe.moe:MoE.forward": {
        "cd182b383f69db58": "0.2.2",
    },
    "torchtitan.distributed.expert_parallel:ExpertParallel._token_dispatch": {
        "7ba729b1e257839e": "0.2.2",
    },
    "torchtitan.distributed.expert_parallel:ExpertParallel._token_combine": {
        "7ee5e5089dd10197": "0.2.2",
    },
}
