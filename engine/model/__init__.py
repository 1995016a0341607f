"""The networks of LTX-2.3 as plain PyTorch modules whose state dicts carry the official keys."""
