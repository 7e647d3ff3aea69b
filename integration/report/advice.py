"""Why calls were left alone, and what to do. The reasons are those of shim/base/reasons.def; a test holds both against
each other."""
from __future__ import annotations

from typing import Dict, List, Sequence

_PLAIN = "nothing: this is no plain all-to-all; in code of yours, give each one a group of its own"
_JOB = "look into the job: NCCL, too, would fail, wait for ever or write over data"
_FASTER = "nothing: plain is faster there; a measured profile helps (hiermoe fit)"
_MEMORY = "leave the library more memory, or raise HIERMOE_MAX_SCRATCH"
_MANY = "nothing: more than the library can number"

ADVICE: Dict[str, str] = {
    **dict.fromkeys(("partial", "mixed", "nested", "simulated", "second_comm", "second_stream", "repeated", "config",
                     "one_rank", "cancelled"), _PLAIN),
    **dict.fromkeys(("argument", "counts_differ", "calls_differ", "buffers_overlap"), _JOB),
    **dict.fromkeys(("no_gain", "no_gain_lately", "rows_too_small"), _FASTER),
    **dict.fromkeys(("no_record", "no_memory", "scratch_cap"), _MEMORY),
    **dict.fromkeys(("too_many_rows", "too_many_ranks"), _MANY),
    "job_no_faster": "nothing: calls got faster, the job did not, most likely because its host waited in them",
    **dict.fromkeys(("announced_otherwise", "misannounced", "rows_misannounced"),
                    "look into the job's adapter: what it announced does not fit the call"),
    "not_kept": "leave the library more memory, or raise HIERMOE_MAX_HANDLE_BYTES",
    "opaque": "nothing: the job said that these are no rows of tokens",
    "trial": "nothing: left alone on purpose, to know what plain takes",
    "too_small": "nothing, or lower HIERMOE_MIN_BYTES",
    "untrusted": "if its caller always issues whole all-to-alls, on every rank: HIERMOE_TRUST=its_name",
    "mode_off": "unset HIERMOE_MODE on all ranks",
    "observe": "unset HIERMOE_MODE on all ranks to have calls replaced",
    "settings_differ": "same build on all ranks, and same HIERMOE settings",
    "row_bytes_misfit": "set HIERMOE_ROW_BYTES to hidden size x bytes per element, or unset it",
    "no_back_end": "build the library where nvcc is; a warning of the job says what is missing",
    "non_blocking": "make communicators blocking (NCCL_COMM_BLOCKING=1)",
    "capturing": "keep MoE all-to-alls out of CUDA graphs",
    "stream_held": "keep all-to-alls off streams that are held back for 2 s and more while the call is made",
}


def table(left: Dict[str, int]) -> List[Sequence[str]]:
    """Reasons with their counts and what to do."""
    rows: List[Sequence[str]] = [("left alone", "calls", "what to do")]
    return rows + [(reason, str(count), ADVICE.get(reason, "")) for reason, count in left.items()]
