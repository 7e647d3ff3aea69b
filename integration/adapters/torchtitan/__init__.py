"""torchtitan's MoE layer under ExpertParallel, 0.2."""
