"""DeepSpeed's MOELayer and AutoEP layer, 0.19."""
