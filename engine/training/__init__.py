"""The toy world, and the training of the starter model that lives in it."""
