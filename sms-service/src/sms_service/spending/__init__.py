"""What messages cost, what may be spent, and the prefixes that waste it."""
