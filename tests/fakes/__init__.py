"""What stands in for the real thing where that would not fit into a test: small, and real code all the same."""
