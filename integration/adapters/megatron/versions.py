"""Made by make_versions.py: what the adapter relies on, by the hash of its source, and versions that have it so."""
TABLE = {
    "megatron.core.tensor_parallel.mappings:_AllToAll": {
        "f40a59bbfcbd6e9a": "0.14.0 0.15.0 0.15.1 0.15.2 0.15.3 0.16.0 0.16.1 0.17.0 0.17.1",
        "ef987daa782c54c5": "0.18.0 0.18.2 0.19.0 0.19.2",
    },
    "megatron.core.tensor_parallel.mappings:all_to_all": {
        "ebcba66caf12ff54": "0.14.0 0.15.0 0.15.1 0.15.2 0.15.3 0.16.0 0.16.1 0.17.0 0.17.1",
        "b5b9bf8b81b7113f": "0.18.0 0.18.2 0.19.0 0.19.2",
    },
    "megatron.core.transformer.moe.moe_utils:permute": {
        "782a5e8fd925a2ff": "0.14.0 0.15.0 0.15.1 0.15.2 0.15.3",
        "d0d97b02b3aed778": "0.16.0 0.16.1",
        "e411a3d22fdec95c": "0.17.0 0.17.1",
        "d37d15db0b41d189": "0.18.0 0.18.2 0.19.0 0.19.2",
    },
    "megatron.core.transformer.moe.moe_utils:unpermute": {
        "ec2148ac95ef858f": "0.14.0",
        "c0ccef5c44346cf9": "0.15.0 0.15.1 0.15.2 0.15.3",
        "ea6cd690cdfdca62": "0.16.0 0.16.1",
        "4d8528cacba9887b": "0.17.0 0.17.1 0.18.0 0.18.2 0.19.0 0.19.2",
    },
    "megatron.core.transformer.moe.token_dispatcher:MoEAlltoAllTokenDispatcher.dispatch_preprocess": {
        "924dad9fa63c99f1": "0.14.0 0.15.0 0.15.1 0.15.2 0.15.3",
        "9602d5874baf145b": "0.16.0 0.16.1",
        "3b11d1747084a908": "0.17.0 0.17.1 0.18.0 0.18.2 0.19.0 0.19.2",
    },
    "megatron.core.transformer.moe.token_dispatcher:MoEAlltoAllTokenDispatcher.token_dispatch": {
        "a0738e802d89b516": "0.14.0 0.15.0 0.15.1 0.15.2 0.15.3 0.16.0 0.16.1",
        "1828d60c95208ce5": "0.17.0 0.17.1",
        "c8cb3412b4f4fb00": "0.18.0 0.18.2 0.19.0 0.19.2",
    },
    "megatron.core.transformer.moe.token_dispatcher:MoEAlltoAllTokenDispatcher.dispatch_postprocess": {
        "49eba6d1535526cb": "0.14.0 0.15.0 0.15.1 0.15.2 0.15.3 0.16.0 0.16.1 0.17.0 0.17.1",
        "3db3d062acb809ce": "0.18.0 0.18.2 0.19.0 0.19.2",
    },
    "megatron.core.transformer.moe.token_dispatcher:MoEAlltoAllTokenDispatcher.combine_preprocess": {
        "b9052592ac4aa8d4": "0.14.0 0.15.0 0.15.1 0.15.2 0.15.3 0.16.0 0.16.1 0.17.0 0.17.1 0.18.0 0.18.2 "
                            "0.19.0 0.19.2",
    },
    "megatron.core.transformer.moe.token_dispatcher:MoEAlltoAllTokenDispatcher.token_combine": {
        "465c54982e8e295b": "0.14.0 0.15.0 0.15.1 0.15.2 0.15.3 0.16.0 0.16.1 0.17.0 0.17.1",
        "c2cee5994d363b3a": "0.18.0 0.18.2 0.19.0 0.19.2",
    },
    "megatron.core.transformer.moe.token_dispatcher:MoEAlltoAllTokenDispatcher.combine_postprocess": {
        "ce1c79ce3769810b": "0.14.0 0.15.0 0.15.1 0.15.2 0.15.3 0.16.0 0.16.1 0.17.0 0.17.1",
        "3af5e8ad53258f98": "0.18.0 0.18.2 0.19.0 0.19.2",
    },
}
