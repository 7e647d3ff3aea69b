#!/usr/bin/env python3
"""Makes an adapter's table of versions from the packages of a framework.

    make_versions.py megatron|deepspeed|torchtitan PACKAGE...    wheels (.whl) or source distributions (.tar.gz)

Reads the functions that the adapter relies on (below) out of each package and writes FRAMEWORK/versions.py. To add a
version: read what changed in these functions, run this over the packages of all versions, oldest first, then the tests
of tests/adapters that need the framework.
"""
import importlib.util
import os
import re
import sys
import tarfile
import textwrap
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
_spec = importlib.util.spec_from_file_location("hiermoe_sources", os.path.join(HERE, "common", "sources.py"))
sources = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sources)
_ALLTOALL = "megatron.core.transformer.moe.token_dispatcher:MoEAlltoAllTokenDispatcher."
RELIED_ON = {
    "megatron": [
        "megatron.core.tensor_parallel.mappings:_AllToAll", "megatron.core.tensor_parallel.mappings:all_to_all",
        "megatron.core.transformer.moe.moe_utils:permute", "megatron.core.transformer.moe.moe_utils:unpermute",
        *(_ALLTOALL + name for name in ("dispatch_preprocess", "token_dispatch", "dispatch_postprocess",
                                        "combine_preprocess", "token_combine", "combine_postprocess")),
    ],
    "deepspeed": [
        *("deepspeed.moe.sharded_moe:" + name for name in (
            "_AllToAll", "top1gating", "top2gating", "topkgating", "TopKGate.forward", "_route_slots", "_sparse_encode",
            "_sparse_decode", "MOELayer.forward")),
        *("deepspeed.module_inject.auto_ep_layer:" + name for name in (
            "_AllToAllV", "_split_plan_from_expert_counts", "_start_async_split_plan_from_expert_counts",
            "apply_scores_before_experts_if_enabled", "combine_from_routed", "AutoEPMoELayer._forward")),
        "deepspeed.moe.ep_router:TokenChoiceTopKRouter.forward",
    ],
    "torchtitan": [
        "torchtitan.models.moe.moe:TokenReorderer.forward", "torchtitan.models.moe.moe:MoE.forward",
        "torchtitan.distributed.expert_parallel:ExpertParallel._token_dispatch",
        "torchtitan.distributed.expert_parallel:ExpertParallel._token_combine",
    ],
}
HEAD = '''"""Made by make_versions.py: what the adapter relies on, by the hash of its source, and versions that have it so."""
TABLE = {
'''


def opened(package):
    """(version, function that reads a file by its path in the package)."""
    name = os.path.basename(package)
    version = re.search(r"-(\d[\w.]*?)(-|\.tar)", name)[1]
    if package.endswith(".whl"):
        archive = zipfile.ZipFile(package)
        return version, lambda path: archive.read(path).decode()
    archive = tarfile.open(package)
    top = archive.getnames()[0].split("/")[0]
    return version, lambda path: archive.extractfile(top + "/" + path).read().decode()


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in RELIED_ON:
        sys.exit(__doc__)
    framework, table = sys.argv[1], {name: {} for name in RELIED_ON[sys.argv[1]]}
    for package in sys.argv[2:]:
        version, read = opened(package)
        for name in table:
            module, _, path = name.partition(":")
            try:
                number = sources.hashes(read(module.replace(".", "/") + ".py"), [path])[path][0]
            except KeyError:
                number = None
            if number is None:
                print("%s has no %s" % (version, name), file=sys.stderr)
            else:
                table[name].setdefault(number, []).append(version)
    with open(os.path.join(HERE, framework, "versions.py"), "w", encoding="utf-8") as file:
        file.write(HEAD)
        for name, found in table.items():
            file.write('    "%s": {\n' % name)
            for number, versions in found.items():
                lines = textwrap.wrap(" ".join(versions), 80)
                listed = " \"\n                            \"".join(lines)
                file.write('        "%s": "%s",\n' % (number, listed))
            file.write("    },\n")
        file.write("}\n")


if __name__ == "__main__":
    main()
