"""From a request to a file: the plan, its stages, and the one generator that runs them."""
