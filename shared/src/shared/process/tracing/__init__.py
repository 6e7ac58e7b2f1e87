"""Recording spans: whether a process does, and how they reach a collector."""
