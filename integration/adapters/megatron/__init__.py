"""Megatron-core's alltoall dispatcher, 0.14 to 0.19."""
