"""Model files: reading checkpoints by offset, key prefixes, FP8, LoRA, and the store that owns what is loaded."""
