"""One file per contract; each is found by its name and knows none of the others."""
