"""What ships as data: presets, the model catalogue, the starter model. Read with `importlib.resources`; no code."""
