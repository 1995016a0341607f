"""The queue: what waits to be made, in what order, and the loop that makes it. Nothing here imports torch by itself."""
